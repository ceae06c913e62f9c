"""Hands what a run found to its loggers: each fit as a run of its own, with curve, settings and rows; then the page.

TensorBoard shows curves while they grow. A tracker gets them when the run ends, the same for trained, stacked and
reused fits. A tracker that fails costs the run nothing but a warning.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from kdlab.config.comparison import GROUPS
from kdlab.config.experiment import Node
from kdlab.config.loggers import logger_for
from kdlab.fits.boards import hyperparameters
from kdlab.fits.context import Context
from kdlab.fits.plan import Plan
from kdlab.fits.trained import Trained
from kdlab.results import Results

log = logging.getLogger(__name__)
# In the folder of a run or a sweep: which fits which logger has.
TRACKED = ".tracked"


def track(
    loggers: Mapping[str, Node],
    results: Results,
    plans: Mapping[str, Plan],
    fits: Mapping[str, Trained],
    context: Context,
    page: Path | None,
) -> None:
    """Hand each fit to each logger, and the run's page to those that keep files; a fit of a sweep goes there once."""
    place = context.sweep or context.folder
    for name, node in loggers.items():
        fields = {"experiment": results.experiment, "group": place.name, "folder": str(place.resolve())}
        try:
            for arm, fit in fits.items():
                label = f"{arm}_{fit.record.key[:8]}" if context.sweep else arm
                with _once(place / TRACKED / name / fit.record.key) as first:
                    if first:
                        _hand_over(logger_for(node, fields | {"fit": label}), plans[arm], fit, results)
            if page:
                _hand_over_page(logger_for(node, fields | {"fit": f"page_{context.folder.name}"}), page)
        except Exception as error:  # another's service or package: it may fail in any way
            log.warning("logger.%s failed, which costs the run nothing: %s: %s", name, type(error).__name__, error)


@contextmanager
def _once(mark: Path) -> Iterator[bool]:
    """Tell whether nobody has done this yet; a mark says so to others, unless it fails."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    except BaseException:
        mark.unlink()
        raise


def _hand_over(logger: Logger, plan: Plan, fit: Trained, results: Results) -> None:
    logger.log_hyperparams(dict(hyperparameters(plan, results)) | {"content_key": fit.record.key})
    epochs: dict[int, dict[str, float]] = defaultdict(dict)
    for epoch, figure, value in fit.curve:
        epochs[epoch][figure] = value
    for epoch, figures in epochs.items():
        logger.log_metrics(figures, step=epoch)
    logger.log_metrics(_rows(plan.name, results), step=max(epochs, default=0))
    _end(logger)


def _rows(arm: str, results: Results) -> dict[str, float]:
    """Return an arm's rows of groups of classes by split, metric, group, correction: `test/accuracy_unseen_prior`."""
    return {
        f"{row.split}/{'_'.join([row.metric, *_apart(row.classes, 'all'), *_apart(row.correction, 'none')])}": row.value
        for row in results.rows
        if row.arm == arm and row.classes in GROUPS
    }


def _apart(word: str, usual: str) -> list[str]:
    return [] if word == usual else [word]


def _hand_over_page(logger: Logger, page: Path) -> None:
    if isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(page))
        _end(logger)
    elif isinstance(logger, WandbLogger):
        logger.experiment.log_artifact(str(page), name="page", type="page")
        _end(logger)


def _end(logger: Logger) -> None:
    logger.save()
    logger.finalize("success")
    if isinstance(logger, WandbLogger):
        logger.experiment.finish()
