"""Makes the pages of docs/reproduction/ from its rows, and what other pages take over from them. Trains nothing.

A page that takes over a part of another has two marks, `<!-- from: NAME -->` and `<!-- end -->`; what stands between
them is written here.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from reproduced_figures import metric_of, one_number, save_grid, save_results, save_tuning, save_unseen
from reproduced_rows import (
    DOCS,
    FOLDER,
    Reproduced,
    all_reproduced,
    by,
    chosen,
    grid_arguments,
    lines_of,
    mean_of,
    own_tuning_arguments,
    seeds_arguments,
    tuning_arguments,
    tuning_recipe_of,
)

from kdlab.claims.statistics import mean_interval
from kdlab.config.comparison import DEFAULTS, SHARES
from kdlab.config.compose import experiments
from kdlab.config.tuning import tried_settings
from kdlab.report.claims import claims_frame, claims_table
from kdlab.report.comparison import left_out
from kdlab.report.sweep_table import escaped, markdown
from kdlab.report.tables import Table

UNSEEN = "![What each arm gets right of the classes that it never saw](figures/{}/unseen.png)"
TAKING_OVER = (DOCS.parent / "README.md", DOCS / "experiments.md")
# Verdicts, and how several are told.
WORDS = {"holds": "hold", "refuted": "refuted", "open": "open", "one draw": "one draw"}


def write_pages() -> None:
    """Write every page, figure and table, and what other pages take over."""
    found = all_reproduced()
    for it in found:
        figures = FOLDER / "figures" / it.name
        figures.mkdir(parents=True, exist_ok=True)
        save_results(it.results, it.config, figures / "errors.png")
        if table := arms_table(it):
            save_unseen(it.results, [row[0] for row in table.rows], figures / "unseen.png")
        if grid := grid_of(it):
            save_grid(grid, it.config["reproduction"]["grid"], figures / "grid.png")
        save_tuning(tried_of(it)[0], figures / "tuning.png")
    for path, text in pages(found).items():
        path.write_text(text)
    for name in left_out_pages(found):
        print(f"{name}: the rows are of another recipe, and left out; make reproduce ONLY={name} runs this one")


def pages(found: Sequence[Reproduced]) -> dict[Path, str]:
    """Return the text of each page by its path."""
    parts = {it.name: "\n\n".join([*results_part(it), *grid_part(it), *tuning_part(it)]) for it in found}
    numbers = {f"{it.name}_numbers": markdown(table) for it in found if (table := numbers_table(it))}
    own = {FOLDER / f"{it.name}.md": page(it, parts[it.name]) for it in found}
    for name in left_out_pages(found):
        parts[name] = f"Not run since its recipe was changed: `make reproduce ONLY={name}`."
        own[FOLDER / f"{name}.md"] = f"# {name}\n\n{parts[name]}\n"
    claims = claims_frame_of(found).to_csv(index=False, lineterminator="\n")
    front = {FOLDER / "README.md": overview(found), FOLDER / "claims.csv": claims}
    taking = {path: filled(path.read_text(), {**parts, **numbers, "verdicts": verdicts(found)}) for path in TAKING_OVER}
    return own | front | taking


def left_out_pages(found: Sequence[Reproduced]) -> list[str]:
    """Return the experiments that have a page and no rows of their present recipe."""
    names = {it.name for it in found}
    return [name for name in experiments() if name not in names and (FOLDER / f"{name}.md").exists()]


def results_part(it: Reproduced) -> Iterator[str]:
    """Yield the table of an experiment's numbers beside its source's, and its verdicts."""
    seeds = _ranges([result.seed for result in it.results])
    ran = seeds_arguments(it.name, it.config, sorted(result.seed for result in it.results))
    yield _code(f"python -m kdlab.train {' '.join(ran)}")
    if table := arms_table(it):
        yield f"Each arm, mean and 95 % interval (t) over seeds {seeds}; settings: among how many its own was chosen."
        yield markdown(table)
    if table := numbers_table(it):
        source = escaped(str(it.config["comparison"]["source"]))
        why = f", whose figures are left out: they are {differs}" if (differs := left_out(it.results[0])) else ""
        yield f"Mean and 95 % interval (t) over seeds {seeds}; source: {source}{why}."
        yield markdown(table)
        if why:
            yield f"The source, on its data: {'; '.join(published(it))}."
    if claims := claims_table(it.judged):
        differs = f" The sources' figures are {it.judged[0].differs}." if it.judged[0].differs else ""
        yield f"Claims, judged over these seeds.{differs}"
        yield markdown(claims)


def published(it: Reproduced) -> list[str]:
    """Return what the source found, each with its number."""
    rows = [DEFAULTS | row for row in it.config["comparison"]["rows"]]
    return [f"{row['show']} {_shown(row['source'], row['metric'])}" for row in rows if row["source"] is not None]


def numbers_table(it: Reproduced) -> Table | None:
    """Return the experiment's comparison over seeds, without the source's figures where the runs differ from them."""
    rows: list[list[str]] = []
    sourced = not left_out(it.results[0]) if it.config["comparison"] else False
    for row in (it.config["comparison"] or {}).get("rows", []):
        full = DEFAULTS | row
        classes = [str(c) for c in (full["classes"] if isinstance(full["classes"], list) else [full["classes"]])]
        place = full["arm"], classes, full["metric"], full["correction"], full["split"]
        values = [value for result in it.results if (value := result.value(*place)) is not None]
        if values:
            source = "" if full["source"] is None else _shown(full["source"], full["metric"])
            rows.append(
                [full["show"], *([source] if sourced else []), *_interval(values, full["metric"]), str(len(values))]
            )
    header = ["what", *(["source"] if sourced else []), "kdlab, mean", "95 % interval", "n"]
    return Table("numbers", "", header, rows) if rows else None


def arms_table(it: Reproduced) -> Table | None:
    """Return what each arm gets right of the classes that it saw and of the others; None where it saw all."""
    columns = {
        "seen": ("seen", "none"), "unseen": ("unseen", "none"), "seen, prior": ("seen", "prior"),
        "unseen, prior": ("unseen", "prior"),
    }  # fmt: skip
    rows = []
    for arm in it.config["arms"]:
        found = {
            name: [value for result in it.results if (value := result.value(arm, [group], "accuracy", how)) is not None]
            for name, (group, how) in columns.items()
        }
        if found["unseen"]:
            cells = [_with_interval(found[name]) for name in columns]
            rows.append([arm, str(tried_settings(it.config, arm)), *cells])
    return Table("arms", "", ["arm", "settings", *columns], rows) if len(rows) > 1 else None


def grid_part(it: Reproduced) -> Iterator[str]:
    """Yield one metric of each arm over the values of one key; nothing where none is swept."""
    lines, grid = grid_of(it), it.config["reproduction"].get("grid")
    if not (lines and grid):
        return
    places = list(dict.fromkeys(line["at"] for line in lines))
    rows = []
    for arm, own in by(lines, "arm"):
        found = {at: _interval([float(line["value"]) for line in some], grid["metric"]) for at, some in by(own, "at")}
        rows.append([arm, *("; ".join(filter(None, found[at])) if at in found else "" for at in places)])
    what = metric_of(grid)
    yield f"{what} over `{grid['key']}`: mean; 95 % interval, seeds {_ranges([int(line['seed']) for line in lines])}."
    yield _code(f"python -m kdlab.train {' '.join(grid_arguments(it.name, it.config))}")
    yield markdown(Table("grid", "", ["arm", *places], rows))
    yield f"![{what} over {grid['key']}, an arm a line](figures/{it.name}/grid.png)"


def tuning_part(it: Reproduced) -> Iterator[str]:
    """Yield how the arms' settings were chosen, with the curve; nothing where they were not."""
    common, apart = tried_of(it)
    tried = common + apart
    if not tried:
        return
    seeds, n = _ranges([int(line["seed"]) for line in tried]), tried[0]["n"]
    yield f"How each arm's settings were chosen: errors on {n} validation samples (seen classes), seed {seeds}."
    if common:
        yield _code(f"python -m kdlab.train {' '.join(tuning_arguments(it.name, it.config))}")
        yield markdown(_common_table(common)).replace("\\*\\*", "**")
    if apart:
        yield "Arms with candidates of their own, a sweep for each, such as:"
        yield _code(f"python -m kdlab.train {' '.join(own_tuning_arguments(it.name, it.config, apart[0]['arm']))}")
        yield markdown(_own_table(apart))
    for arm, why in (it.config["tuning"].get("exceptions") or {}).items():
        yield f"{arm} has another setting: {why}."
    if one_number([line["setting"] for line in common]):
        yield f"![Validation error over the settings that were tried](figures/{it.name}/tuning.png)"


def grid_of(it: Reproduced) -> list[dict[str, str]]:
    """Return the lines of an experiment's grid that are of its present recipe."""
    recipe = it.runs[0]["recipe"]
    return [line for line in lines_of(FOLDER / "grids" / f"{it.name}.csv") if line["recipe"] == recipe]


def tried_of(it: Reproduced) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the settings that were tried, of the present recipe: those of all arms, and those of single ones."""
    own, recipe = (it.config["tuning"] or {}).get("own") or {}, tuning_recipe_of(it.config)
    tried = [line for line in lines_of(FOLDER / "tuning" / f"{it.name}.csv") if line["recipe"] == recipe]
    return [line for line in tried if line["arm"] not in own], [line for line in tried if line["arm"] in own]


def _common_table(tried: Sequence[dict[str, str]]) -> Table:
    """Return the errors of each arm at each of the settings that all arms tried, the chosen one in bold."""
    best, settings = chosen(tried), list(dict.fromkeys(line["setting"] for line in tried))
    rows = []
    for arm, lines in by(tried, "arm"):
        means = {setting: mean_of(own, "errors") for setting, own in by(lines, "setting")}
        cells = {it: f"{means[it]:.4g}" if it in means else "diverged" for it in settings}
        rows.append([arm, *(f"**{cell}**" if it == best[arm] else cell for it, cell in cells.items())])
    return Table("tuning", "", ["arm", *settings], rows)


def _own_table(tried: Sequence[dict[str, str]]) -> Table:
    """Return, for arms with candidates of their own, how many were tried, and the best with its errors."""
    best, rows = chosen(tried), []
    for arm, lines in by(tried, "arm"):
        means = {setting: mean_of(own, "errors") for setting, own in by(lines, "setting")}
        spread = f"{min(means.values()):.4g} to {max(means.values()):.4g}"
        rows.append([arm, best[arm], str(len(means)), f"{means[best[arm]]:.4g}", spread])
    return Table("own", "", ["arm", "chosen", "settings that trained", "errors", "of all settings"], rows, labels=2)


def page(it: Reproduced, body: str) -> str:
    """Return the page of one experiment."""
    hours = sum(float(run["hours"]) for run in it.runs)
    name, record = it.name, it.config["reproduction"]
    parts = [
        f"# {it.name}", escaped(str(it.config["question"])),
        f"Written by `make reproduce ONLY={it.name}`; what it means is told in [experiments](../experiments.md).",
        *filter(None, [record.get("note")]),
        body,
        f"![Each arm's test error: each seed, and the mean with its interval](figures/{it.name}/errors.png)",
        *([UNSEEN.format(it.name)] if arms_table(it) else []),
        *(f"![{it.replace('_', ' ')}, first seed](figures/{name}/{it}.png)" for it in record.get("figures") or []),
        "## How it was run", f"{hours:.2f} hours of training in all.", markdown(_runs_table(it.runs)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _runs_table(runs: Sequence[dict[str, str]]) -> Table:
    """Return the machine, the versions and the code behind the seeds; a line for those that share all of them."""
    fields = ["dataset", "commit", "code", "date", "machine", "threads", "precision", "torch"]
    alike = defaultdict(list)
    for run in runs:
        alike[tuple(run[field] for field in fields)].append(int(run["seed"]))
    return Table("runs", "", ["seeds", *fields], [[_ranges(seeds), *about] for about, seeds in alike.items()], labels=9)


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
    head, ruler, *lines = markdown(
        Table("verdicts", "", ["experiment", "asks", "seeds", "claims"], rows, labels=2)
    ).splitlines()
    linked = [re.sub(r"^\| (\w+) \|", rf"| [\1]({link}\1.md) |", line) for line in lines]
    return "\n".join([head, ruler, *linked])


def claims_frame_of(found: Sequence[Reproduced]) -> Any:
    """Return all verdicts as a frame, the experiment first."""
    frames = [claims_frame(it.judged).assign(experiment=it.name) for it in found if it.judged]
    frame = pd.concat(frames) if frames else claims_frame([]).assign(experiment="")
    return frame[["experiment", *(column for column in frame if column != "experiment")]]


def filled(text: str, parts: dict[str, str]) -> str:
    """Return a page with the parts that it takes over, between their marks."""

    def part(found: re.Match[str]) -> str:
        content = parts.get(found[1], "").replace("](figures/", "](reproduction/figures/")
        return f"<!-- from: {found[1]} -->\n\n{content}\n\n<!-- end -->" if found[1] in parts else found[0]

    return re.sub(r"<!-- from: (\w+) -->.*?<!-- end -->", part, text, flags=re.DOTALL)


def _interval(values: Sequence[float], metric: str) -> tuple[str, str]:
    mean, low, high = mean_interval(values)
    ends = "" if len(values) == 1 else f"{_shown(low, metric)} to {_shown(high, metric)}"
    return _shown(mean, metric), ends


def _with_interval(accuracies: Sequence[float]) -> str:
    """Return the mean of accuracies, and how far its interval reaches to each side."""
    if not accuracies:
        return ""
    mean, low, high = mean_interval(accuracies)
    return f"{100 * mean:.2f}" + (f" ± {50 * (high - low):.2f}" if len(accuracies) > 1 else "") + " %"


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
