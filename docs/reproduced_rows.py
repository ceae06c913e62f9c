"""What docs/reproduction/ holds of an experiment: its runs, rows and tried settings, read from the committed files."""

import copy
import csv
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from kdlab.claims.verdict import claims_in, judge
from kdlab.config.compose import CONFIGS, experiments
from kdlab.hashing import short_hash
from kdlab.report.claims import Judged
from kdlab.report.comparison import departures
from kdlab.results import Fit, Results, Row

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS / "reproduction"
RUN_FIELDS = ["experiment", "seed", "dataset", "recipe", "code", "commit", "date", "machine", "threads", "precision",
              "torch", "hours"]  # fmt: skip
GRID_FIELDS = ["at", "seed", "arm", "value", "recipe"]
TUNED_FIELDS = ["experiment", "arm", "setting", "seed", "errors", "nll", "n", "recipe"]
# What of a config changes no number.
NO_RECIPE = ("claims", "comparison", "tuning", "reproduction", "question", "figures", "store", "trainer", "evaluation")


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
    """Return a hash of all of an experiment's config that its numbers depend on, seeds apart.

    What is not set is left out: a new key that does nothing by default makes no other recipe. So is where the data lie.
    """
    config = {key: value for key, value in config_of(name).items() if key not in NO_RECIPE}
    return short_hash(_set(config | {"data": {**config["data"], "root": None}}))


def tuning_recipe_of(config: dict[str, Any]) -> str:
    """Return a hash of what the numbers of an experiment's tuning depend on: its recipe without what is chosen."""
    tuning = config["tuning"] or {}
    tried = [tuning.get("settings"), *(tuning.get("own") or {}).values()]
    plain = copy.deepcopy({key: value for key, value in config.items() if key not in NO_RECIPE})
    for node in (plain, plain["student"], *plain["arms"].values()):
        for key in {key for settings in tried for key in settings or ()}:
            *steps, last = key.split(".")
            (reduce(lambda own, step: (own or {}).get(step), steps, node) or {}).pop(last, None)
    return short_hash(_set(plain | {"data": {**plain["data"], "root": None}}))


def _set(node: Any) -> Any:
    """Return a config without its keys that hold nothing: null, {} and []."""
    if not isinstance(node, dict):
        return node
    inner = {key: _set(value) for key, value in node.items()}
    return {key: value for key, value in inner.items() if value not in (None, {}, [])}


def all_reproduced() -> list[Reproduced]:
    """Return all experiments of which there are rows."""
    return [it for name in experiments() if (it := reproduced(name))]


def reproduced(name: str) -> Reproduced | None:
    """Return what is known of an experiment as it is now; None where there are no rows of this recipe."""
    config, recipe = config_of(name), recipe_of(name)
    runs = [run for run in lines_of(FOLDER / "runs.csv") if (run["experiment"], run["recipe"]) == (name, recipe)]
    of_seed = defaultdict(list)
    for line in lines_of(FOLDER / "rows" / f"{name}.csv"):
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


def chosen(tried: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return each arm's setting with the fewest errors on validation, in the mean of seeds; of equals the lower nll."""
    best = {}
    for arm, lines in by(tried, "arm"):
        scores = {it: (mean_of(own, "errors"), mean_of(own, "nll")) for it, own in by(lines, "setting")}
        best[arm] = min(scores, key=lambda it: scores[it])
    return best


def seeds_arguments(name: str, config: dict[str, Any], ran: Sequence[int] = ()) -> list[str]:
    """Return the arguments that run an experiment over the seeds that ran, or over those that it declares."""
    record = config["reproduction"]
    seeds = len(ran) if list(ran) == list(range(len(ran))) else f"[{','.join(map(str, ran))}]"
    return [f"+experiment={name}", *(record.get("more") or []), f"seeds={seeds or record['seeds']}"]


def grid_arguments(name: str, config: dict[str, Any]) -> list[str]:
    """Return the arguments that run an experiment over the values of its grid's key."""
    record = config["reproduction"]
    grid = record["grid"]
    values = ",".join(map(str, grid["values"]))
    return [f"+experiment={name}", *(record.get("more") or []), f"{grid['key']}={values}", f"seeds={grid['seeds']}"]


def tuning_arguments(name: str, config: dict[str, Any]) -> list[str]:
    """Return the arguments that train every arm at each of the candidates."""
    return _tuning_arguments(name, config["tuning"], "+every_arm", config["tuning"]["settings"])


def own_tuning_arguments(name: str, config: dict[str, Any], arm: str) -> list[str]:
    """Return the arguments that train one arm at each of the candidates that are its own."""
    return _tuning_arguments(name, config["tuning"], f"++arms.{arm}", config["tuning"]["own"][arm])


def _tuning_arguments(name: str, record: dict[str, Any], where: str, settings: dict[str, list[Any]]) -> list[str]:
    tried = [f"{where}.{key}={','.join(map(str, values))}" for key, values in settings.items()]
    seeds = f"seed={','.join(map(str, record['seeds']))}"
    return ["-m", f"+experiment={name}", *(record.get("more") or []), *tried, seeds, "evaluation.splits=[val]"]


def by(lines: Sequence[dict[str, str]], key: str) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the lines of each value of a key, in the order in which the values come."""
    found = defaultdict(list)
    for line in lines:
        found[line[key]].append(line)
    return list(found.items())


def mean_of(lines: Sequence[dict[str, str]], key: str) -> float:
    """Return the mean of a number of the lines."""
    return sum(float(line[key]) for line in lines) / len(lines)


def lines_of(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file by the names of their columns; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdecimal() else float(text)
