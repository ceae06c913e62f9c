"""A finished run, opened again: its data and its networks, built from the config that it was trained with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from kdlab import hardware
from kdlab.config.experiment import EvaluationSettings, Recipe
from kdlab.config.read import resolved
from kdlab.config.recipes import Plain, recipes_of
from kdlab.curves import read_curves
from kdlab.data import STAND_INS, ClassificationData, stand_in
from kdlab.errors import DataError, KdlabError
from kdlab.fits import weights
from kdlab.fits.context import Context
from kdlab.fits.plan import new_network
from kdlab.fits.trained import Trained
from kdlab.measure.networks import Measured, measure_networks
from kdlab.results import Results, read


def reopen(folder: Path) -> tuple[Results, Context, dict[str, Trained]]:
    """Return the results of a finished run, its data and hardware, and its networks as they were trained.

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
    """
    if not (folder / "results.json").exists():
        raise KdlabError(f"{folder} holds no finished run: it has no results.json (of a sweep, give one of its points)")
    stored = read(folder / "results.json")
    if "teachers" not in stored.config:
        raise KdlabError(f"{folder} was made by an earlier kdlab, whose config had other keys; run its command anew")
    data = _data_of(stored)
    problems: list[str] = []
    recipes = resolved(recipes_of(stored.config, problems), data, problems)
    if problems:
        raise KdlabError("\n".join([f"the config in {folder / 'results.json'} is not a run's:", *problems]))
    context = Context(data, _hardware_of(stored.config), folder)
    written = folder / "curves.csv"
    curves = read_curves(written) if written.exists() else {}
    fits = {}
    for record in stored.fits:
        recipe = recipes[record.arm]
        net = _network_of(record.arm, recipe, folder)
        fits[record.arm] = Trained(net, recipe, record, curves.get(record.arm, []))
    return stored, context, fits


def measure_again(
    stored: Results, context: Context, fits: dict[str, Trained], splits: tuple[str, ...] | None = None
) -> Measured:
    """Measure the networks of a reopened run again, on `splits` or those of the run."""
    settings = EvaluationSettings(**stored.config["evaluation"])
    return measure_networks(context, fits, replace(settings, splits=splits or tuple(settings.splits)))


def _network_of(name: str, recipe: Recipe, folder: Path) -> Any:
    try:
        net = new_network(recipe.net, seed=0)
    except InstantiationException as error:
        raise KdlabError(f"{name}.net cannot be built: {error}") from error
    weights.load(net, folder / "checkpoints" / f"{name}.pt")
    return net.eval()


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
    data.setup()
    return data


def _hardware_of(config: Plain) -> hardware.Hardware:
    try:
        return hardware.choose(config["trainer"]["accelerator"], config["trainer"]["precision"])
    except ValueError as error:
        raise KdlabError(f"the run's trainer cannot be had here: {error}") from error
