"""Runs every experiment over its seeds, and writes docs/reproduction/ from what they found: `make reproduce`.

python docs/reproduce.py [NAME ...]            # these experiments, or all; given again, it goes on
python docs/reproduce.py --tune [NAME ...]     # how the arms' settings are chosen: on validation, at other seeds
python docs/reproduce.py --pages               # only write the pages anew, from the committed rows; trains nothing

What each experiment runs stands in its yaml, `reproduction` and `tuning`. Numbers are kept in docs/reproduction, in
rows/ and tuning/, so that work done at different times adds up; docs/reproduced.py makes the pages.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from PIL import Image
from reproduced import write_pages
from reproduced_rows import (
    FOLDER,
    GRID_FIELDS,
    RUN_FIELDS,
    TUNED_FIELDS,
    config_of,
    grid_arguments,
    own_tuning_arguments,
    recipe_of,
    seeds_arguments,
    tuning_arguments,
    tuning_recipe_of,
)

from kdlab.config.comparison import GROUPS
from kdlab.config.compose import experiments
from kdlab.files import write_csv
from kdlab.fits.key import TRAINING_CODE_HASH
from kdlab.results import InvalidResults, Results, Row, read

RUNS = Path("outputs") / "reproduction"
# Of a figure's palette: it keeps the file small.
COLOURS = 256
# Rows of groups of classes that are kept, beside those that claims and comparison name.
KEPT = ("accuracy", "errors", "nll", "excess_risk")


def main() -> None:
    """Run what the command line names, or all, and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments; all of them by default")
    parser.add_argument("--tune", action="store_true", help="choose the arms' settings instead")
    parser.add_argument("--pages", action="store_true", help="write the pages from the committed rows, and run nothing")
    given = parser.parse_args()
    try:
        _main(given.names, tuning=given.tune, only_pages=given.pages)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")


def _main(names: list[str], *, tuning: bool, only_pages: bool) -> None:
    if unknown := [name for name in names if name not in experiments()]:
        sys.exit(f"{', '.join(unknown)}: there are {', '.join(experiments())}")
    asked = {name: config_of(name) for name in names or experiments()}
    if undeclared := [name for name in names if not asked[name]["reproduction"]]:
        sys.exit(f"{', '.join(undeclared)}: conf/experiment/ has no `reproduction` for it")
    declared = {name: config for name, config in asked.items() if config["reproduction"]}
    for name in [] if only_pages else sorted(declared, key=lambda name: declared[name]["reproduction"]["hours"]):
        (tune if tuning else reproduce)(name, declared[name])
        write_pages()
    if only_pages:
        write_pages()


def reproduce(name: str, config: dict[str, Any]) -> None:
    """Run an experiment over its seeds, and keep the rows of those that finished."""
    rows: list[list[Any]] = []
    runs: list[list[Any]] = []
    for results in sweep(seeds_arguments(name, config), RUNS / name / "seeds"):
        rows += [[results.seed, *_fields(row)] for row in results.rows if _is_kept(row, config)]
        runs.append(described(name, results))
    run_grid(name, config)
    copy_figures(name, config["reproduction"].get("figures") or [])
    keep(FOLDER / "rows" / f"{name}.csv", ["seed", *Row.__struct_fields__], rows, key=1)
    keep(FOLDER / "runs.csv", RUN_FIELDS, runs, key=2)


def run_grid(name: str, config: dict[str, Any]) -> None:
    """Run an experiment over the values of its grid's key, and keep the one metric of each arm."""
    grid = config["reproduction"].get("grid")
    if not grid:
        return
    place = [str(grid.get("classes", "all"))], grid["metric"], grid.get("correction", "none")
    rows, recipe = [], recipe_of(name)
    for results in sweep(grid_arguments(name, config), RUNS / name / "grid"):
        at = OmegaConf.select(OmegaConf.create(results.config), grid["key"])
        for arm in ("teacher", *results.config["arms"]):
            value = results.value(arm, *place)
            rows += [] if value is None else [[at, results.seed, arm, f"{value:.7g}", recipe]]
    keep(FOLDER / "grids" / f"{name}.csv", GRID_FIELDS, rows, key=3)


def copy_figures(name: str, wanted: list[str]) -> None:
    """Draw the figures of the first seed's run, and keep those that the experiment's page shows, with a palette."""
    runs = sorted((RUNS / name / "seeds").glob("*/results.json"), key=lambda path: int(path.parent.name))
    if not (wanted and runs):
        return
    run = runs[0].parent
    subprocess.run([sys.executable, "-m", "kdlab.report", str(run)], check=True)
    target = FOLDER / "figures" / name
    target.mkdir(parents=True, exist_ok=True)
    for figure in wanted:
        image = Image.open(run / "figures" / f"{figure}.png").convert("RGB")
        image.quantize(COLOURS).save(target / f"{figure}.png", optimize=True)


def tune(name: str, config: dict[str, Any]) -> None:
    """Train every arm at each of its candidates, and keep what it makes of the validation part."""
    record = config["tuning"]
    if not record:
        sys.exit(f"{name}: conf/experiment/{name}.yaml has no tuning")
    own, recipe = record.get("own") or {}, tuning_recipe_of(config)
    found = [
        tried_at(arm, list(record["settings"]), results, results.config["every_arm"])
        for results in sweep(tuning_arguments(name, config), RUNS / name / "tuning")
        for arm in results.config["arms"]
        if arm not in own
    ]
    for arm, settings in own.items():
        found += [
            tried_at(arm, list(settings), results, results.config["arms"][arm])
            for results in sweep(own_tuning_arguments(name, config, arm), RUNS / name / f"tuning_{arm}")
        ]
    (FOLDER / "tuning").mkdir(parents=True, exist_ok=True)
    write_csv(FOLDER / "tuning" / f"{name}.csv", TUNED_FIELDS, [[name, *line, recipe] for line in found if line])


def tried_at(arm: str, keys: list[str], results: Results, recipe: dict[str, Any]) -> list[Any]:
    """Return what an arm made of the validation part at a point of its tuning; nothing where it failed."""
    values = OmegaConf.create(recipe)
    tried = " ".join(f"{key}={OmegaConf.select(values, key)}" for key in keys)
    errors, nll = (results.find(arm, "seen", metric, "none", "val") for metric in ("errors", "nll"))
    return [arm, tried, results.seed, errors.value, f"{nll.value:.6g}", errors.n] if errors and nll else []


def sweep(arguments: list[str], folder: Path) -> Iterator[Results]:
    """Run a sweep, or go on with it; yield the results of its finished points. No data set has a stand-in here."""
    command = ["-m", "kdlab.train", *arguments, "data.fallback=null", f"hydra.sweep.dir={folder}"]
    print("python", *command, flush=True)
    subprocess.run([sys.executable, *command], check=False)  # a point that failed is left out
    for path in sorted(folder.glob("*/results.json"), key=lambda path: int(path.parent.name)):
        try:
            yield read(path)
        except InvalidResults as error:
            print(error)


def described(name: str, results: Results) -> list[Any]:
    """Return what is known of a run, in the order of `RUN_FIELDS`."""
    environment = results.environment
    machine = [environment[key] for key in ("device", "threads", "precision", "torch")]
    hours = sum(fit.seconds for fit in results.fits) / 3600
    day = datetime.now(UTC).date().isoformat()
    about = [results.dataset, recipe_of(name), TRAINING_CODE_HASH, _commit(), day]
    return [name, results.seed, *about, *machine, f"{hours:.4f}"]


def _commit() -> str:
    """Return the commit that is checked out, with `-dirty` where code or configs differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "conf", "kdlab")
    return git("rev-parse", "--short=9", "HEAD") + ("-dirty" if changed else "")


def keep(path: Path, header: list[str], lines: list[list[Any]], *, key: int) -> None:
    """Write lines into a CSV file in place of those with the same first `key` cells; others stay."""
    new = {tuple(map(str, line[:key])) for line in lines}
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [line for line in list(csv.reader(file))[1:] if tuple(line[:key]) not in new]
    path.parent.mkdir(parents=True, exist_ok=True)
    every = [*kept, *([str(cell) for cell in line] for line in lines)]
    write_csv(path, header, sorted(every, key=lambda line: [_in_order(cell) for cell in line[:key]]))


def _in_order(cell: str) -> tuple[int, str]:
    return (int(cell), "") if cell.isdecimal() else (0, cell)


def _fields(row: Row) -> list[Any]:
    cells = [getattr(row, field) for field in row.__struct_fields__]
    return [f"{cell:.7g}" if isinstance(cell, float) else cell for cell in cells]


def _is_kept(row: Row, config: dict[str, Any]) -> bool:
    if row.classes in GROUPS and row.metric in KEPT:
        return True
    named = [*(config["comparison"] or {}).get("rows", [])]
    named += [claim[side] for claim in config["claims"] for side in ("value", "minus") if claim.get(side)]
    metrics = {it["metric"].replace("error_rate", "errors").replace("correct", "errors") for it in named}
    return row.metric in metrics and row.arm in {it["arm"] for it in named}


if __name__ == "__main__":
    main()
