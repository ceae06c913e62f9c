"""The story of one experiment: config → data → plans → teachers → arms → rows → results."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from filelock import FileLock
from hydra.utils import instantiate

from kdlab import hardware
from kdlab.config.compose import ComposedConfig
from kdlab.config.experiment import TEACHER, Experiment, StoreSettings
from kdlab.config.read import known
from kdlab.config.read import read as read_config
from kdlab.config.recipes import generations
from kdlab.curves import write_curves
from kdlab.data import ClassificationData, load
from kdlab.errors import DiskFull, FitsFailed
from kdlab.files import damage, remove_scratch, write_sums
from kdlab.fits.boards import hyperparameters, log_outcome, outcome
from kdlab.fits.context import Context
from kdlab.fits.objective import equation_of
from kdlab.fits.obtain import obtain
from kdlab.fits.plan import Plan, plan_fits
from kdlab.fits.trained import Trained
from kdlab.hashing import code_hash
from kdlab.measure.confusion import write_confusion
from kdlab.measure.cost import cost_rows
from kdlab.measure.networks import Measured, measure_networks, splits_of
from kdlab.outcome import stage
from kdlab.report import comparison_lines, write_comparison
from kdlab.report.run import illustrate
from kdlab.results import Inputs, InvalidResults, Results, Scaling, read, write
from kdlab.store import Store
from kdlab.trackers.track import track

CODE_HASH = code_hash(Path(__file__).parent)
GIVEN = "nothing: its weights were given"
# Parts of the config that do not change results.
WITHOUT_EFFECT = ("question", "store", "trainer", "figures", "logger", "reproduction")
PAGE = "report.html"

log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """What a run ends with: its results, its page if it has one, and whether anything had to be trained for them.

    `spent` says whether that was done in this process, and not ahead by another.
    """

    results: Results
    page: Path | None
    trained: bool
    spent: bool


def run(
    config: ComposedConfig, folder: Path, *, began: float = 0.0, sweep: Path | None = None, command: str = ""
) -> Ended:
    """Run the experiment that `config` describes, and write its results below `folder`.

    Args:
        config: as composed.
        folder: the run's folder. If it holds the results of the same code, config and data, they are kept.
        began: when the command was given, in seconds since the epoch; `store.refresh` retrains older fits.
        sweep: the folder of the sweep that the run belongs to; None for a single run.
        command: the command that repeats the run, for the record.

    Raises:
        ConfigError: when the config is wrong; nothing has been read or trained.
        DataError: when the data set cannot be found, or cannot be used.
        CheckpointError: when the teacher's weights cannot be loaded.
        FitsFailed: when the teacher failed, or each arm; one failed arm is a note in the results of the others.
        StoreError: when the store cannot be used.
        DiskFull: when there is no room for a file.
    """
    experiment = with_data(config, sweep, began)
    folder.mkdir(parents=True, exist_ok=True)
    context = context_of(experiment, folder, began, sweep)
    if sweep is None:
        return _run(experiment, context, command)
    with FileLock(folder / ".lock"):  # the same sweep may be running twice
        return _run(experiment, context, command)


# The data set that a point of a sweep read last in this process, and what it was read for: the next points share it.
_shared: dict[str, ClassificationData] = {}


def with_data(config: ComposedConfig, sweep: Path | None, began: float) -> Experiment:
    """Read a config and its data set, or a stand-in; raises as `run` does."""
    experiment = read_config(config, in_sweep=sweep is not None)
    named = repr((sweep, began, experiment.config["data"]))
    with stage("data"):
        data = _shared[named] if sweep and named in _shared else load(experiment.data, memory=sweep, began=began)
    _shared.clear()
    if sweep:
        _shared[named] = data
    if type(data) is type(experiment.data):
        return replace(experiment, data=data)
    return read_config(config, data, in_sweep=sweep is not None)


def finished_before(plain: Mapping[str, Any], folder: Path, *, began: float, sweep: Path) -> bool:
    """Tell whether a point has the results that `run` would keep; writes nothing, and checks no config.

    A config that has led to results in this code was checked then; `plain` holds its values. Raises anything where
    something is wrong; `run` says what.
    """
    found, named = read(folder / "results.json"), repr((sweep, began, plain["data"]))
    if found.config["data"] != plain["data"]:
        return False
    if named not in _shared:
        data = instantiate(plain["data"], _convert_="all")
        if data.name != found.dataset:  # of a stand-in
            return False
        data.setup()
        _shared.clear()
        _shared[named] = data
    experiment = known(plain, _shared[named])
    if found.config != experiment.config:
        return False
    context = context_of(experiment, folder, began, sweep)
    plans = plan_fits(experiment.recipes, context)
    with_page = not experiment.figures or (folder / PAGE).exists()
    return with_page and _would_find(found, experiment, plans, context) and not damage(folder)


def context_of(experiment: Experiment, folder: Path, began: float, sweep: Path | None) -> Context:
    """Return what all fits of a run share; its data are loaded."""
    trainer = experiment.trainer
    devices = hardware.choose(trainer.accelerator, trainer.precision, trainer.devices, trainer.deterministic)
    measured_on = splits_of(experiment.evaluation, experiment.recipes.values(), experiment.data)
    store = _store(experiment.store, began)
    return Context(experiment.data, devices, folder, store, sweep, trainer.stack, set(measured_on))


def _store(settings: StoreSettings, began: float) -> Store | None:
    if settings.folder is None:
        return None
    return Store(Path(settings.folder).expanduser(), redo_before=began if settings.refresh else 0.0)


def _run(experiment: Experiment, context: Context, command: str) -> Ended:
    with stage("plan"):
        plans = plan_fits(experiment.recipes, context)
    with_page = experiment.figures or (experiment.figures is None and context.sweep is None)
    page = context.folder / PAGE
    earlier = _finished(experiment, plans, context)
    if earlier and (page.exists() or not with_page):
        return Ended(earlier, page if page.exists() else None, trained=False, spent=False)
    with stage("plan"):
        planned = _planned(experiment, plans, context, command)
    page.unlink(missing_ok=True)
    remove_scratch(context.folder)
    _announce(experiment, context)

    spent = not all(plan.given or (context.store and context.store.has(plan.key)) for plan in plans.values())
    fits, failed = _obtained(experiment, plans, context)
    with stage("evaluation"):
        measured = measure_networks(context, fits, experiment.evaluation, experiment.claims)
        if experiment.evaluation.cost:
            measured.rows.extend(cost_rows(fits, context.folder / "checkpoints", context.data))
    results = msgspec.structs.replace(
        planned,
        fits=[fit.record for fit in fits.values()],
        rows=measured.rows,
        notes=[*failed.values(), *measured.notes],
        failed=failed,
        disagreements=list(dict.fromkeys(measured.disagreements)),
    )
    with stage("results"):
        _write(plans, fits, measured, results, context)
    drawn = with_page and _drawn(context, fits, measured, results)
    track(experiment.logger, results, plans, fits, context, page if drawn else None)
    trained = not all(fit.reused for fit in results.fits)
    return Ended(results, page if drawn else None, trained=trained, spent=spent)


def _obtained(
    experiment: Experiment, plans: Mapping[str, Plan], context: Context
) -> tuple[dict[str, Trained], dict[str, str]]:
    """Return the fits by name, in the order of the plans, and why others failed.

    Raises:
        FitsFailed: when the teacher, or each arm, is among them.
    """
    trained: dict[str, Trained] = {}
    failed: dict[str, str] = {}
    for names in generations(experiment.recipes):
        found, not_found = obtain([plans[name] for name in names], context, trained)
        trained |= found
        failed |= not_found
    context.forget_teachers()
    fits = {name: trained[name] for name in plans if name in trained}
    if failed and (TEACHER in failed or not any(fit.recipe.teacher for fit in fits.values())):
        raise FitsFailed("\n".join(failed.values()))
    return fits, failed


def _write(
    plans: Mapping[str, Plan], fits: Mapping[str, Trained], measured: Measured, results: Results, context: Context
) -> None:
    """Write all that a run leaves but its page; results.json is the last, and says that the rest is whole."""
    folder = context.folder
    write_curves({name: fit.curve for name, fit in fits.items()}, folder / "curves.csv")
    write_confusion(measured.confusion, folder / "confusion.csv")
    if lines := comparison_lines(results):
        write_comparison(results, lines, folder / "comparison.csv")
    write_sums(folder, ["curves.csv", "confusion.csv", *(f"checkpoints/{name}.pt" for name in fits)])
    for name in fits:
        with context.locked(plans[name].key, name):
            board = context.board(name, plans[name].key)
            log_outcome(board, hyperparameters(plans[name], results), outcome(name, results), plans[name].contents)
    write(results, folder / "results.json")


def _planned(experiment: Experiment, plans: Mapping[str, Plan], context: Context, command: str) -> Results:
    """Return the results as they will be, without fits and rows."""
    environment = hardware.environment(context.hardware)
    return Results(
        experiment=experiment.name,
        dataset=context.data.name,
        seed=experiment.seed,
        held_out_classes=context.data.held_out,
        config=dict(experiment.config),
        environment=environment | {"code": CODE_HASH, "data": context.data.checksum(), "command": command},
        fits=[],
        rows=[],
        inputs=_inputs(context.data),
        equations={name: GIVEN if plan.given else equation_of(plan.recipe) for name, plan in plans.items()},
    )


def _inputs(data: ClassificationData) -> Inputs:
    scaling = data.scaling()
    return Inputs(list(data.input_shape), list(data.class_names), Scaling(**scaling) if scaling else None)


def _drawn(context: Context, fits: Mapping[str, Trained], measured: Measured, results: Results) -> bool:
    """Draw figures and page; return whether that worked. A fault in a figure must not cost the results."""
    try:
        with stage("figures"):
            illustrate(context, fits, measured, results)
    except DiskFull:
        raise
    except Exception:  # figures meet data that nobody thought of
        log.exception("the figures could not be drawn; python -m kdlab.report %s tries again", context.folder)
        return False
    return True


def _finished(experiment: Experiment, plans: Mapping[str, Plan], context: Context) -> Results | None:
    """Return the results in the run's folder if this run would find the same; delete them otherwise."""
    path = context.folder / "results.json"
    if not path.exists():
        return None
    try:
        found = read(path)
    except InvalidResults as error:
        log.warning("%s; it is made anew", error)
        found = None
    if found and _would_find(found, experiment, plans, context):
        if not (problems := damage(context.folder)):
            log.info("finished before")
            return found
        log.warning("%s: %s; made anew", context.folder, "; ".join(problems))
    path.unlink()
    return None


def _would_find(found: Results, experiment: Experiment, plans: Mapping[str, Plan], context: Context) -> bool:
    """Tell whether a run would find these results again, those of its folder."""
    store, written = context.store, (context.folder / "results.json").stat().st_mtime
    return (
        found.dataset == context.data.name
        and _asked(found.config) == _asked(experiment.config)
        and found.environment.get("code") == CODE_HASH
        and found.environment.get("data") == context.data.checksum()
        and [fit.key for fit in found.fits] == [plan.key for plan in plans.values()]
        and (store is None or written >= store.redo_before)
    )


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}


def _announce(experiment: Experiment, context: Context) -> None:
    held_out = ", ".join(context.data.class_names[c] for c in context.data.held_out) or "none"
    log.info("%s on %s, seed %d, held-out classes: %s", experiment.name, context.data.name, experiment.seed, held_out)
    log.info("device: %s, precision: %s", context.hardware.device, context.hardware.precision)
