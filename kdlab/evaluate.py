"""Networks → rows: the one time that the test set is used. And, as a command, the same for a finished run.

python -m kdlab.evaluate RUN_DIR
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor, nn

from kdlab import checkpoints, hardware
from kdlab.bench import Bench, new_network
from kdlab.correction import class_prior, oracle_offsets, prior_offsets
from kdlab.data import SPLITS, ClassificationData, digits_instead_of
from kdlab.data.held_out import class_indices
from kdlab.errors import DataError, KdlabError
from kdlab.evaluation import measure, offset_rows
from kdlab.recipes import arm_recipe, teacher_recipe
from kdlab.report.terminal import summary
from kdlab.results import Correction, Results, Row, read

SHOWN = 5


class Judged(NamedTuple):
    """A network to be measured, and the classes that it has never seen."""

    net: nn.Module
    held_out: list[int]


class Evaluation(NamedTuple):
    """The rows, and for pictures each network's test logits (N, C) and the offsets (C,) of correction `prior`."""

    rows: list[Row]
    test_logits: dict[str, Tensor]
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
    test_logits: dict[str, Tensor] = {}
    for split in splits:
        inputs, labels = bench.data.split(split)
        logits = {name: bench.logits(net, inputs) for name, (net, _) in nets.items()}
        if split == "test":
            test_logits = logits
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
    return Evaluation(rows, test_logits, priors)


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
        KdlabError: when the folder holds no finished run, or its data or weights cannot be had.
    """
    stored = read(folder / "results.json")
    config = OmegaConf.create(stored.config)
    bench = Bench(_data_of(stored), _hardware_of(config), folder)
    nets = {}
    for fit in stored.fits:
        recipe = teacher_recipe(config) if fit.arm == "teacher" else arm_recipe(config, fit.arm)
        net = new_network(recipe, seed=0)
        checkpoints.load(net, folder / "checkpoints" / f"{fit.arm}.pt")
        held_out = class_indices(recipe.get("held_out_classes", []), bench.data.class_names)
        nets[fit.arm] = Judged(net.eval(), held_out)
    found = evaluate(
        bench,
        nets,
        splits=splits or config.evaluation.splits,
        shared_offset=config.evaluation.prior_offsets == "shared",
    )
    return stored, replace(stored, rows=found.rows)


def _data_of(stored: Results) -> ClassificationData:
    data: ClassificationData = instantiate(stored.config["data"], _convert_="all")
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
    sys.exit(_compare(stored.rows, measured.rows))


def _compare(stored: list[Row], measured: list[Row]) -> int:
    """Print how the measured rows compare with the stored ones of the same splits; return the exit status."""
    splits = {row.split for row in measured}
    expected = [row for row in stored if row.split in splits]
    differences = sorted({*expected} ^ {*measured}, key=lambda row: (row.arm, row.classes, row.metric))
    if not expected:
        print(f"results.json has no rows of {', '.join(sorted(splits))} to compare with")
    elif not differences:
        print(f"all {len(expected)} stored rows are reproduced exactly")
    else:
        print(f"{len(differences)} rows differ from results.json; the first:")
        for row in differences[:SHOWN]:
            print(f"  {'stored' if row in expected else 'now   '} {row}")
    return bool(differences) if expected else 0


if __name__ == "__main__":
    main()
