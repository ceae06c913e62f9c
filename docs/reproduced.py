"""Makes the pages of docs/reproduction/ from its rows, and what other pages take over from them. Trains nothing.

A page that takes over a part of another has two marks, `<!-- from: NAME -->` and `<!-- end -->`; what stands between
them is written here.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from reproduced_figures import one_number, save_results, save_tuning

from kdlab.claims.statistics import mean_interval
from kdlab.claims.verdict import claims_in, judge
from kdlab.config.comparison import DEFAULTS, SHARES
from kdlab.config.compose import CONFIGS, experiments
from kdlab.hashing import short_hash
from kdlab.report.claims import Judged, claims_frame, claims_table
from kdlab.report.comparison import departures
from kdlab.report.sweep_table import escaped, markdown
from kdlab.report.tables import Table
from kdlab.results import Fit, Results, Row

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS / "reproduction"
TAKING_OVER = (DOCS.parent / "README.md", DOCS / "experiments.md")
RUN_FIELDS = ["experiment", "seed", "dataset", "recipe", "code", "commit", "date", "machine", "threads", "precision",
              "torch", "hours"]  # fmt: skip
TUNED_FIELDS = ["experiment", "arm", "setting", "seed", "errors", "nll", "n"]
# What of a config changes no number.
NO_RECIPE = ("claims", "comparison", "tuning", "reproduction", "question", "figures", "store", "trainer", "evaluation")
# Verdicts, and how several are told.
WORDS = {"holds": "hold", "refuted": "refuted", "open": "open", "one draw": "one draw"}


class Reproduced(NamedTuple):
    """An experiment: its config, its runs as `runs.csv` describes them, their results, and the verdicts."""

    name: str
    config: dict[str, Any]
    runs: list[dict[str, str]]
    results: list[Results]
    judged: list[Judged]


def config_of(name: str) -> dict[str, Any]:
    """Return an experiment's config as it is reproduced, as plain values."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        more = OmegaConf.select(compose("train", [f"+experiment={name}"]), "reproduction.more") or []
        config = compose("train", [f"+experiment={name}", *more])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain


def recipe_of(name: str) -> str:
    """Return a hash of all of an experiment's config that its numbers depend on, seeds apart."""
    return short_hash({key: value for key, value in config_of(name).items() if key not in NO_RECIPE})


def write_pages() -> None:
    """Write every page, figure and table, and what other pages take over."""
    found = all_reproduced()
    for it in found:
        figures = FOLDER / "figures" / it.name
        figures.mkdir(parents=True, exist_ok=True)
        save_results(it.results, it.config, figures / "errors.png")
        save_tuning(_lines(FOLDER / "tuning" / f"{it.name}.csv"), figures / "tuning.png")
    for path, text in pages(found).items():
        path.write_text(text)


def all_reproduced() -> list[Reproduced]:
    """Return all experiments of which there are rows."""
    return [it for name in experiments() if (it := reproduced(name))]


def pages(found: Sequence[Reproduced]) -> dict[Path, str]:
    """Return the text of each page by its path."""
    parts = {it.name: "\n\n".join([*results_part(it), *tuning_part(it)]) for it in found}
    numbers = {f"{it.name}_numbers": markdown(table) for it in found if (table := numbers_table(it))}
    own = {FOLDER / f"{it.name}.md": page(it, parts[it.name]) for it in found}
    claims = claims_frame_of(found).to_csv(index=False, lineterminator="\n")
    front = {FOLDER / "README.md": overview(found), FOLDER / "claims.csv": claims}
    taking = {path: filled(path.read_text(), {**parts, **numbers, "verdicts": verdicts(found)}) for path in TAKING_OVER}
    return own | front | taking


def reproduced(name: str) -> Reproduced | None:
    """Return what is known of an experiment; None where there are no rows."""
    config = config_of(name)
    runs = [run for run in _lines(FOLDER / "runs.csv") if run["experiment"] == name]
    of_seed = defaultdict(list)
    for line in _lines(FOLDER / "rows" / f"{name}.csv"):
        of_seed[line.pop("seed")].append(Row(**line | {"value": _number(line["value"]), "n": int(line["n"])}))  # type: ignore[arg-type]
    results = [_results(run, of_seed[run["seed"]], config) for run in runs if of_seed[run["seed"]]]
    if not results:
        return None
    differs = departures(results[0])
    judged = [Judged(judge(claim, results), {}, differs) for claim in claims_in(results[0])]
    return Reproduced(name, config, runs, results, judged)


def _results(run: dict[str, str], rows: list[Row], config: dict[str, Any]) -> Results:
    arms = dict.fromkeys(row.arm for row in rows if row.arm != "bayes")
    fits = [Fit(arm, f"{arm} {run['seed']}", False, 1, 0.0, 1) for arm in arms]
    return Results(run["experiment"], run["dataset"], int(run["seed"]), [], config, {}, fits, rows)


def results_part(it: Reproduced) -> Iterator[str]:
    """Yield the table of an experiment's numbers beside its source's, and its verdicts."""
    seeds = _ranges([result.seed for result in it.results])
    yield _code(f"python -m kdlab.train {' '.join(seeds_arguments(it.name, it.config))}")
    if table := numbers_table(it):
        source = escaped(str(it.config["comparison"]["source"]))
        yield f"Mean and 95 % interval (t) over seeds {seeds}; source: {source}."
        yield markdown(table)
    if claims := claims_table(it.judged):
        differs = f" The sources' figures are {it.judged[0].differs}." if it.judged[0].differs else ""
        yield f"Claims, judged over these seeds.{differs}"
        yield markdown(claims)


def numbers_table(it: Reproduced) -> Table | None:
    """Return the experiment's comparison over seeds."""
    rows = []
    for row in (it.config["comparison"] or {}).get("rows", []):
        full = DEFAULTS | row
        classes = [str(c) for c in (full["classes"] if isinstance(full["classes"], list) else [full["classes"]])]
        place = full["arm"], classes, full["metric"], full["correction"], full["split"]
        values = [value for result in it.results if (value := result.value(*place)) is not None]
        if values:
            source = "" if full["source"] is None else _shown(full["source"], full["metric"])
            rows.append([full["show"], source, *_interval(values, full["metric"]), str(len(values))])
    header = ["what", "source", "kdlab, mean", "95 % interval", "n"]
    return Table("numbers", "", header, rows) if rows else None


def tuning_part(it: Reproduced) -> Iterator[str]:
    """Yield how the arms' settings were chosen, with the curve; nothing where they were not."""
    tried = _lines(FOLDER / "tuning" / f"{it.name}.csv")
    if not tried:
        return
    best = chosen(tried)
    seeds, n = _ranges([int(line["seed"]) for line in tried]), tried[0]["n"]
    settings = list(dict.fromkeys(line["setting"] for line in tried))
    rows = []
    for arm, lines in _by(tried, "arm"):
        means = {setting: _mean(own, "errors") for setting, own in _by(lines, "setting")}
        cells = {it: f"{means[it]:.4g}" if it in means else "diverged" for it in settings}
        rows.append([arm, *(f"**{cell}**" if it == best[arm] else cell for it, cell in cells.items())])
    yield f"How each arm's settings were chosen: errors on {n} validation samples (seen classes), seed {seeds}."
    yield _code(f"python -m kdlab.train {' '.join(tuning_arguments(it.name, it.config['tuning']))}")
    yield markdown(Table("tuning", "", ["arm", *settings], rows)).replace("\\*\\*", "**")
    for arm, why in (it.config["tuning"].get("exceptions") or {}).items():
        yield f"{arm} has another setting: {why}."
    if one_number(settings):
        yield f"![Validation error over the settings that were tried](figures/{it.name}/tuning.png)"


def chosen(tried: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return each arm's setting with the fewest errors on validation, in the mean of seeds; of equals the lower nll."""
    best = {}
    for arm, lines in _by(tried, "arm"):
        scores = {it: (_mean(own, "errors"), _mean(own, "nll")) for it, own in _by(lines, "setting")}
        best[arm] = min(scores, key=lambda it: scores[it])
    return best


def page(it: Reproduced, body: str) -> str:
    """Return the page of one experiment."""
    hours = sum(float(run["hours"]) for run in it.runs)
    drawn = it.config["reproduction"].get("figures") or []
    parts = [
        f"# {it.name}", escaped(str(it.config["question"])),
        f"Written by `make reproduce ONLY={it.name}`; what it means is told in [experiments](../experiments.md).",
        body,
        f"![Each arm's test error: each seed, and the mean with its interval](figures/{it.name}/errors.png)",
        *(f"![{what.replace('_', ' ')}, first seed](figures/{it.name}/{what}.png)" for what in drawn),
        "## How it was run", f"{hours:.2f} hours of training in all.", markdown(_runs_table(it.runs)),
    ]  # fmt: skip
    if note := it.config["reproduction"].get("note"):
        parts.insert(3, note)
    return "\n\n".join(parts) + "\n"


def _runs_table(runs: Sequence[dict[str, str]]) -> Table:
    """Return the machine, the versions and the code behind the seeds; a line for those that share all of them."""
    fields = ["commit", "code", "date", "machine", "threads", "precision", "torch"]
    alike = defaultdict(list)
    for run in runs:
        alike[tuple(run[field] for field in fields)].append(int(run["seed"]))
    return Table("runs", "", ["seeds", *fields], [[_ranges(seeds), *about] for about, seeds in alike.items()], labels=8)


def overview(found: Sequence[Reproduced]) -> str:
    """Return the front page: every claim with its verdict."""
    parts = [
        "# Reproduction",
        "All experiments over their seeds: `make reproduce`; one: `make reproduce ONLY=dark_knowledge`. The tables are "
        "made from the rows in `rows/` and `tuning/`. A verdict is over the seeds: `holds` or `refuted` where the 95 % "
        "interval of the mean lies on one side of the bound, `open` where it does not, `one draw` with one seed "
        "([results](../results.md#claims)).",
        verdicts(found, link=""),
    ]  # fmt: skip
    for it in found:
        if table := claims_table(it.judged):
            parts += [f"## [{it.name}]({it.name}.md)", markdown(table)]
    return "\n\n".join(parts) + "\n"


def verdicts(found: Sequence[Reproduced], link: str = "docs/reproduction/") -> str:
    """Return a table with a line for each experiment: what it asks, its seeds, how many claims hold."""
    rows = []
    for it in found:
        words = [judged.verdict.word for judged in it.judged]
        counts = [f"{words.count(word)} {WORDS[word]}" for word in WORDS if word in words]
        rows.append([it.name, str(it.config["question"]), str(len(it.results)), ", ".join(counts) or "none"])
    table = markdown(Table("verdicts", "", ["experiment", "asks", "seeds", "claims"], rows, labels=2))
    return re.sub(r"^\| (\w+) \|", rf"| [\1]({link}\1.md) |", table, flags=re.MULTILINE).replace(
        f"[experiment]({link}experiment.md)", "experiment"
    )


def claims_frame_of(found: Sequence[Reproduced]) -> Any:
    """Return all verdicts as a frame, the experiment first."""
    import pandas as pd

    frames = [claims_frame(it.judged).assign(experiment=it.name) for it in found if it.judged]
    frame = pd.concat(frames) if frames else claims_frame([]).assign(experiment="")
    return frame[["experiment", *(column for column in frame if column != "experiment")]]


def filled(text: str, parts: dict[str, str]) -> str:
    """Return a page with the parts that it takes over, between their marks."""

    def part(found: re.Match[str]) -> str:
        content = parts.get(found[1], "").replace("](figures/", "](reproduction/figures/")
        return f"<!-- from: {found[1]} -->\n\n{content}\n\n<!-- end -->" if found[1] in parts else found[0]

    return re.sub(r"<!-- from: (\w+) -->.*?<!-- end -->", part, text, flags=re.DOTALL)


def seeds_arguments(name: str, config: dict[str, Any]) -> list[str]:
    """Return the arguments that run an experiment over its seeds."""
    record = config["reproduction"]
    return [f"+experiment={name}", *(record.get("more") or []), f"seeds={record['seeds']}"]


def tuning_arguments(name: str, record: dict[str, Any]) -> list[str]:
    """Return the arguments that train every arm at each of the candidates."""
    tried = [f"+every_arm.{key}={','.join(map(str, values))}" for key, values in record["settings"].items()]
    seeds = f"seed={','.join(map(str, record['seeds']))}"
    return ["-m", f"+experiment={name}", *(record.get("more") or []), *tried, seeds, "evaluation.splits=[val]"]


def _interval(values: Sequence[float], metric: str) -> tuple[str, str]:
    mean, low, high = mean_interval(values)
    ends = "" if len(values) == 1 else f"{_shown(low, metric)} to {_shown(high, metric)}"
    return _shown(mean, metric), ends


def _shown(value: float, metric: str) -> str:
    if metric in SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) >= 10 else f"{value:.3g}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as text, neighbours as ranges: 0 to 4, 7."""
    found = []
    for _, run in groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0]):
        first, *rest = [number for _, number in run]
        found.append(f"{first} to {rest[-1]}" if rest else str(first))
    return ", ".join(found)


def _code(command: str) -> str:
    return f"    {command}"


def _by(lines: Sequence[dict[str, str]], key: str) -> list[tuple[str, list[dict[str, str]]]]:
    found = defaultdict(list)
    for line in lines:
        found[line[key]].append(line)
    return list(found.items())


def _mean(lines: Sequence[dict[str, str]], key: str) -> float:
    return sum(float(line[key]) for line in lines) / len(lines)


def _lines(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdecimal() else float(text)
