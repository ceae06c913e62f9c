"""Networks → rows: the one time that the test set is used. And, as a command, the same for a finished run.

python -m kdlab.evaluate RUN_DIR
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor, nn

from kdlab import checkpoints, hardware
from kdlab.bench import Bench, new_network
from kdlab.correction import class_prior, oracle_offsets, prior_offsets
from kdlab.data import ClassificationData, digits_instead_of
from kdlab.data.held_out import class_indices
from kdlab.errors import DataError, KdlabError
from kdlab.evaluation import measure, offset_rows
from kdlab.recipes import arm_recipe, teacher_recipe
from kdlab.report.terminal import summary
from kdlab.results import SPLITS, Correction, Results, Row, read

SHOWN = 5


class Judged(NamedTuple):
    """A network to be measured, and the classes that it has never seen."""

    net: nn.Module
    held_out: list[int]


class Evaluation(NamedTuple):
    """The rows, and what pictures are drawn from.

    That is each network's logits (N, C) on the split that is shown (see `Results.shown_split`), and the offsets (C,) of
    correction `prior`.
    """

    rows: list[Row]
    logits: dict[str, Tensor]
    prior_offsets: dict[str, Tensor]


def evaluate(bench: Bench, nets: Mapping[str, Judged], *, splits: Sequence[str], shared_offset: bool) -> Evaluation:
    """Measure the teacher (the network of that name) and each arm, before and after bias correction.

    `prior` sees no label: its class prior is the teacher's mean predicted probability on the same unlabelled inputs
    on which the student's is matched to it. `oracle` is fitted to the labels it is then measured on, as the 2015 paper
    did: the best that one offset shared by all held-out classes can do, and no result one may claim.

    Args:
        bench: the data and the hardware.
        nets: by their names in the rows; the Bayes rule, where the data know it, joins them as `bayes`.
        splits: to measure on, of train, val and test.
        shared_offset: one offset of `prior` for all held-out classes of a student, rather than one each.
    """
    rows = [*_bayes_error_rows(bench.data)]
    priors = _fit_prior_offsets(bench, nets, shared_offset, rows)
    if bench.data.bayes_rule:
        nets = {**nets, "bayes": Judged(bench.data.bayes_rule, [])}
    shown: dict[str, Tensor] = {}
    for split in splits:
        inputs, labels = bench.data.split(split)
        logits = {name: bench.logits(net, inputs) for name, (net, _) in nets.items()}
        if split == "test" or "test" not in splits:
            shown = logits
        for name, (_, held_out) in nets.items():
            # What has seen everything is measured on the run's held-out classes beside those who have not.
            unseen = held_out or bench.data.held_out
            offsets: dict[Correction, Tensor | float] = {"none": 0.0}
            if name in priors:
                oracle = oracle_offsets(logits[name], labels, held_out)
                offsets |= {"prior": priors[name], "oracle": oracle}
                rows += offset_rows(name, split, "oracle", oracle, held_out, len(labels))
            for correction, offset in offsets.items():
                rows += measure(
                    name,
                    split,
                    logits[name] + offset,
                    labels,
                    teacher_logits=logits["teacher"],
                    held_out=unseen,
                    correction=correction,
                    log_posterior=logits.get("bayes"),
                )
    return Evaluation(rows, shown, priors)


def _fit_prior_offsets(bench: Bench, nets: Mapping[str, Judged], shared: bool, rows: list[Row]) -> dict[str, Tensor]:
    """Fit correction `prior` of each student with unseen classes, and add its offsets to `rows`."""
    split, inputs = bench.data.unlabelled()
    prior = class_prior(bench.logits(nets["teacher"].net, inputs))
    offsets = {}
    for name, (net, held_out) in nets.items():
        if held_out:
            offsets[name] = prior_offsets(bench.logits(net, inputs), prior, held_out, shared=shared)
            rows += offset_rows(name, split, "prior", offsets[name], held_out, len(inputs))
    return offsets


def _bayes_error_rows(data: ClassificationData) -> list[Row]:
    if data.bayes_rule is None:
        return []
    error = data.bayes_rule.error()
    figures = {"bayes_error": error.value, "standard_error": error.standard_error}
    return [Row("bayes", "distribution", "all", "none", name, value, error.samples) for name, value in figures.items()]


def reproduce(folder: Path, splits: Sequence[str] | None = None) -> tuple[Results, Results]:
    """Measure the networks of a finished run again, each built from the config that it was trained with.

    Args:
        folder: of the run.
        splits: to measure on; None for those of the run.

    Returns:
        (as stored, as measured now).

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
    """
    stored, bench, nets = reopen(folder)
    rows = measure_again(stored, bench, nets, splits).rows
    return stored, replace(stored, rows=rows, environment=hardware.environment(bench.hardware))


def reopen(folder: Path) -> tuple[Results, Bench, dict[str, Judged]]:
    """Return the results of a finished run, its data and hardware, and its networks as they were trained.

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
    """
    if not (folder / "results.json").exists():
        raise KdlabError(f"{folder} holds no finished run: it has no results.json (of a sweep, give one of its points)")
    stored = read(folder / "results.json")
    config = OmegaConf.create(stored.config)
    if "splits" not in config.evaluation:
        raise KdlabError(f"{folder} is of an earlier kdlab: its config has no evaluation.splits")
    bench = Bench(_data_of(stored), _hardware_of(config), folder)
    return stored, bench, {fit.arm: _network_of(fit.arm, config, bench) for fit in stored.fits}


def measure_again(
    stored: Results, bench: Bench, nets: Mapping[str, Judged], splits: Sequence[str] | None = None
) -> Evaluation:
    """Measure the networks of a finished run again, on `splits` or those of the run."""
    settings = stored.config["evaluation"]
    shared = settings["prior_offsets"] == "shared"
    return evaluate(bench, nets, splits=splits or settings["splits"], shared_offset=shared)


def _network_of(arm: str, config: DictConfig, bench: Bench) -> Judged:
    recipe = teacher_recipe(config) if arm == "teacher" else arm_recipe(config, arm)
    try:
        net = new_network(recipe, seed=0)
    except InstantiationException as error:
        raise KdlabError(f"{arm}.net cannot be built: {error}") from error
    checkpoints.load(net, bench.folder / "checkpoints" / f"{arm}.pt")
    return Judged(net.eval(), class_indices(recipe.get("held_out_classes", []), bench.data.class_names))


def _data_of(stored: Results) -> ClassificationData:
    try:
        data: ClassificationData = instantiate(stored.config["data"], _convert_="all")
    except InstantiationException as error:
        raise DataError(f"the run's data set cannot be had: {error.__cause__ or error}") from error
    if stored.dataset == "digits" != data.name and data.fallback == "digits":
        return digits_instead_of(data)
    if data.name != stored.dataset:
        raise DataError(f"the run was on {stored.dataset}, but its config now gives {data.name}")
    data.setup()
    return data


def _hardware_of(config: DictConfig) -> hardware.Hardware:
    try:
        return hardware.choose(config.trainer.accelerator, config.trainer.precision)
    except ValueError as error:
        raise KdlabError(f"the run's trainer cannot be had here: {error}") from error


def main() -> None:
    """Measure a finished run again and compare with what it stored: exit status 0 if all rows are the same, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.evaluate",
        description="Measure the networks of a finished run again, and compare with its results.json.",
    )
    parser.add_argument("run_dir", type=Path, help="the run's folder, which holds results.json and checkpoints/")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, help="measure on these instead of the run's own")
    arguments = parser.parse_args()
    try:
        stored, measured = reproduce(arguments.run_dir, arguments.splits)
    except KdlabError as error:
        sys.exit(str(error))
    Console().print(summary(measured))
    common = set(stored.config["evaluation"]["splits"]) & {row.split for row in measured.rows}
    sys.exit(_compare(stored, measured, common))


def _compare(stored: Results, measured: Results, splits: set[str]) -> int:
    """Print how the rows of these splits compare; return the exit status."""
    before, now = _rows_of(stored, splits), _rows_of(measured, splits)
    if before == now:
        print(f"all {len(now)} stored rows are reproduced exactly")
        return 0
    differing = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    print(f"{len(differing)} of {len(before)} rows differ from results.json; the first:")
    for key in sorted(differing)[:SHOWN]:
        print(f"  {' '.join(key)}: stored {before.get(key)}, now {now.get(key)}")
    for name, value in measured.environment.items():
        if value != stored.environment.get(name):
            print(f"the run's {name} was {stored.environment.get(name)}, now it is {value}: last digits may differ")
    return 1


def _rows_of(results: Results, splits: set[str]) -> dict[tuple[str, ...], tuple[float, int]]:
    """Return the rows of `splits`, and those that do not depend on them: `prior` offsets and the Bayes error."""
    return {
        (row.arm, row.split, row.classes, row.correction, row.metric): (row.value, row.n)
        for row in results.rows
        if row.split == "distribution" or (row.correction, row.metric) == ("prior", "offset") or row.split in splits
    }


if __name__ == "__main__":
    main()
