"""A finished run, opened again: its data and its networks, built from the config that it was trained with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from kdlab.config.experiment import TEACHER, EvaluationSettings, Recipe
from kdlab.config.read import resolved
from kdlab.config.recipes import Plain, recipes_of
from kdlab.curves import read_curves
from kdlab.data import STAND_INS, ClassificationData, stand_in
from kdlab.errors import DataError, KdlabError
from kdlab.fits.context import Context
from kdlab.fits.plan import reopened
from kdlab.fits.trained import Trained
from kdlab.hardware import Hardware, choose
from kdlab.measure.networks import Measured, measure_networks
from kdlab.results import SPLITS, InvalidResults, Results, read


def reopen(folder: Path) -> tuple[Results, Context, dict[str, Trained]]:
    """Return the results of a finished run, its data and hardware, and its networks as they were trained.

    The config in results.json names the classes that are built: to open a run is to run the code that it names.

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
        InvalidResults: when a file of the run is not as a run writes it; the message names it.
    """
    path, written = folder / "results.json", folder / "curves.csv"
    if not path.exists():
        raise KdlabError(f"{folder} holds no finished run: it has no results.json (of a sweep, give one of its points)")
    stored = read(path)
    if "teachers" not in stored.config:
        raise KdlabError(f"{folder} was made by an earlier kdlab, whose config had other keys; run its command anew")
    with _as_written(path):
        data = _data_of(stored)
        problems: list[str] = []
        recipes = resolved(recipes_of(stored.config, problems), data, problems)
        if problems:
            raise InvalidResults("\n".join([f"the config in {path} is not a run's:", *problems]))
        recorded = {record.arm: (recipes[record.arm], record) for record in stored.fits}
        if TEACHER not in recorded:
            raise InvalidResults(f"{path}: it has no fit of the teacher, with which all others are compared")
        hardware = _hardware_of(stored.config)
    data.setup()
    with _as_written(written):
        curves = read_curves(written) if written.exists() else {}
    fits = {
        name: Trained(_network_of(name, recipe, folder, data), recipe, record, curves.get(name, []))
        for name, (recipe, record) in recorded.items()
    }
    return stored, Context(data, hardware, folder), fits


@contextmanager
def _as_written(path: Path) -> Iterator[None]:
    """Turn the errors that content which no run writes leads to into one that names the file."""
    try:
        yield
    except KdlabError:
        raise
    except (ArithmeticError, AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        raise InvalidResults(f"{path} is not as a run writes it: {type(error).__name__}: {error}") from error


def measure_again(
    stored: Results, context: Context, fits: dict[str, Trained], splits: tuple[str, ...] | None = None
) -> Measured:
    """Measure the networks of a reopened run again, on `splits` or those of the run.

    Raises:
        KdlabError: when a split has no samples.
    """
    with _as_written(context.folder / "results.json"):
        settings = EvaluationSettings(**stored.config["evaluation"])
        settings = replace(settings, splits=splits or tuple(settings.splits))
        if unknown := [split for split in settings.splits if split not in SPLITS]:
            raise ValueError(f"there is no split {unknown[0]!r}")
        if empty := [split for split in settings.splits if not len(context.data.split(split).labels)]:
            raise KdlabError(f"there are no {empty[0]} samples to measure on (the run had data.val_size=0)")
    return measure_networks(context, fits, settings)


def _network_of(name: str, recipe: Recipe, folder: Path, data: ClassificationData) -> nn.Module:
    try:
        net = reopened(recipe, folder / "checkpoints" / f"{name}.pt", data.normalization)
    except InstantiationException as error:
        raise KdlabError(f"{name}.net cannot be built: {error}") from error
    except TypeError as error:
        raise InvalidResults(f"{folder / 'results.json'}: {name}.net is no network: {error}") from error
    try:
        with torch.no_grad():
            shape = tuple(net(data.scale(data.test.inputs[:1])).shape)
    except Exception as error:  # a network may fail in any way on inputs it was not made for
        raise KdlabError(f"{name}.net fails on the samples that {data.name} has now: {error}") from error
    if shape != (1, len(data.class_names)):
        raise KdlabError(f"{name}.net has outputs {shape[1:]}, but {data.name} has {len(data.class_names)} classes now")
    return net


def _data_of(stored: Results) -> ClassificationData:
    try:
        data: ClassificationData = instantiate(stored.config["data"], _convert_="all")
    except InstantiationException as error:
        raise DataError(f"the run's data set cannot be had: {error.__cause__ or error}") from error
    if data.name != stored.dataset and data.fallback:
        kinds = {kind.name: kind for kind in STAND_INS.values()}
        if stored.dataset in kinds:
            return stand_in(data, kinds[stored.dataset])
    if data.name != stored.dataset:
        raise DataError(f"the run was on {stored.dataset}, but its config now gives {data.name}")
    return data


def _hardware_of(config: Plain) -> Hardware:
    try:
        return choose(config["trainer"]["accelerator"], config["trainer"]["precision"])
    except ValueError as error:
        raise KdlabError(f"the run's trainer cannot be had here: {error}") from error
