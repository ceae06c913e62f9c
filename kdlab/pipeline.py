"""The story of one experiment: data → plan → teacher → arms → evaluation → results."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kdlab import hardware
from kdlab.bench import Bench
from kdlab.checks import check
from kdlab.content_hash import code_hash
from kdlab.cost import cost_rows
from kdlab.curves import write_curves
from kdlab.data import load
from kdlab.evaluate import Evaluation, Judged, evaluate
from kdlab.illustrate import Curves, illustrate
from kdlab.plan import Plan, plan_fits
from kdlab.recipes import fill_in, objective
from kdlab.report import comparison_lines, print_run, write_comparison
from kdlab.report.page import as_yaml
from kdlab.results import InvalidResults, Results, read, write
from kdlab.store import Store
from kdlab.tensorboard import hyperparameters, log_outcome, outcome
from kdlab.training import obtain

PACKAGE = Path(__file__).parent
CODE_HASH = code_hash(PACKAGE)
GIVEN = "nothing: its weights were given"

log = logging.getLogger(__name__)


def run(
    config: DictConfig, folder: Path, *, began: float = 0.0, sweep: Path | None = None, command: str = ""
) -> tuple[Results, bool]:
    """Run the experiment that `config` describes, and write all it found below `folder`.

    Args:
        config: as composed.
        folder: of the run. A point of a sweep that was finished there before, by the same code from the same config and
            data, is left as it is.
        began: when the command was given, in seconds since the epoch; `store.refresh` redoes what is older.
        sweep: the folder of the sweep of which this run is a point; None for a run of its own.
        command: that does the same again, for the record.

    Returns:
        the results, and whether anything had to be trained for them now.

    Raises:
        ConfigError: when the config cannot be run; nothing has been read or trained then.
        DataError: when the data set cannot be had, or not be used.
        CheckpointError: when the teacher's weights cannot be loaded.
        Diverged: when a fit's loss is no longer finite.
        StoreError: when the store cannot be used.
    """
    check(config, in_sweep=sweep is not None)
    asked_for = instantiate(config.data, _convert_="all")
    data = load(asked_for)
    if data is not asked_for:
        check(config, data, in_sweep=sweep is not None)
    config = fill_in(config, data)
    devices = hardware.choose(config.trainer.accelerator, config.trainer.precision, config.trainer.devices)
    bench = Bench(data, devices, folder, _store(config, began), sweep)
    if sweep is None:
        return _run(config, bench, command)
    with FileLock(folder / ".lock"):  # should the same sweep be running twice
        return _run(config, bench, command)


def _store(config: DictConfig, began: float) -> Store | None:
    if config.store.folder is None:
        return None
    return Store(Path(config.store.folder).expanduser(), redo_before=began if config.store.refresh else 0.0)


def _run(config: DictConfig, bench: Bench, command: str) -> tuple[Results, bool]:
    plans = plan_fits(config, bench)
    planned = Results(
        experiment=config.name,
        dataset=bench.data.name,
        seed=config.seed,
        held_out_classes=bench.data.held_out,
        config=OmegaConf.to_container(config, resolve=True),  # type: ignore[arg-type]
        environment=hardware.environment(bench.hardware)
        | {"code": CODE_HASH, "data": bench.data.checksum(), "command": command},
        fits=[],
        rows=[],
        equations={arm: GIVEN if plan.loaded else objective(plan.recipe) for arm, plan in plans.items()},
    )
    wanted = config.figures or (config.figures is None and bench.sweep is None)
    page = bench.folder / "report.html"
    earlier = _finished(planned, [plan.key for plan in plans.values()], bench)
    if earlier and (page.exists() or not wanted):
        return earlier, False
    page.unlink(missing_ok=True)
    _announce(config, bench)

    teacher = obtain(plans["teacher"], bench, None)
    arms = {arm: obtain(plan, bench, teacher) for arm, plan in plans.items() if arm != "teacher"}
    fits = {"teacher": teacher} | arms

    nets = {name: Judged(fit.net, fit.held_out) for name, fit in fits.items()}
    evaluation = evaluate(
        bench,
        nets,
        splits=config.evaluation.splits,
        shared_offset=config.evaluation.prior_offsets == "shared",
    )
    if config.evaluation.cost:
        checkpoints = bench.folder / "checkpoints"
        evaluation.rows.extend(cost_rows({name: fit.net for name, fit in fits.items()}, checkpoints, bench.data))
    results = replace(planned, fits=[fit.record for fit in fits.values()], rows=evaluation.rows)
    curves = {name: fit.curve for name, fit in fits.items()}
    write_curves(curves, bench.folder / "curves.csv")
    drawn = wanted and _drawn(bench, nets, curves, evaluation, results)
    if lines := comparison_lines(results):
        write_comparison(results, lines, bench.folder / "comparison.csv")
    _log_outcomes(plans, results, bench)
    write(results, bench.folder / "results.json")
    print_run(results, bench.data.class_names, page if drawn else None, bench.sweep or bench.folder)
    return results, not all(fit.reused for fit in results.fits)


def _drawn(bench: Bench, nets: Mapping[str, Judged], curves: Curves, evaluation: Evaluation, results: Results) -> bool:
    """Draw the figures and the page; return whether that went well: it must not cost the results where it does not."""
    try:
        illustrate(bench, nets, curves, evaluation, results)
    except Exception:  # in a figure of data that nobody thought of
        log.exception("the figures could not be drawn; python -m kdlab.illustrate %s tries again", bench.folder)
        return False
    return True


def _log_outcomes(plans: Mapping[str, Plan], results: Results, bench: Bench) -> None:
    for arm, plan in plans.items():
        with bench.holding(plan.key, arm):
            board = bench.board(arm, plan.key)
            log_outcome(board, hyperparameters(plan, results), outcome(arm, results), as_yaml(plan.contents))


def _finished(planned: Results, keys: list[str], bench: Bench) -> Results | None:
    """Return the results that this folder holds already, if they are what the run would find; remove any others."""
    path = bench.folder / "results.json"
    if not path.exists():
        return None
    try:
        found = read(path)
    except InvalidResults as error:
        log.warning("%s; it is made anew", error)
        found = None
    redo = bench.store is not None and path.stat().st_mtime < bench.store.redo_before
    if found and not redo and [fit.key for fit in found.fits] == keys and _asked(found) == _asked(planned):
        log.info("finished before")
        return found
    path.unlink()
    return None


def _asked(results: Results) -> tuple[Any, ...]:
    """Return what makes two runs the same: the config, less where fits are kept, the code and the data."""
    config = {
        key: value for key, value in results.config.items() if key not in ("question", "store", "trainer", "figures")
    }
    return results.dataset, config, *(results.environment.get(name) for name in ("code", "data"))


def _announce(config: DictConfig, bench: Bench) -> None:
    held_out = ", ".join(bench.data.class_names[c] for c in bench.data.held_out) or "none"
    log.info("%s on %s, seed %d, held-out classes: %s", config.name, bench.data.name, config.seed, held_out)
    log.info("device: %s, precision: %s", bench.hardware.device, bench.hardware.precision)
