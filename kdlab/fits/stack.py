"""Several fits of one shape, trained at once as one stack (`kdlab.modules.stacked`)."""

import logging
from collections.abc import Sequence
from pathlib import Path

from kdlab.data import ClassificationData
from kdlab.data.own_batches import of_stack
from kdlab.errors import Diverged
from kdlab.fits.callbacks import CheckpointEachEpoch, Quiet, SeedEachEpoch
from kdlab.fits.fit import Took, check_finite, run, stops_named, trainer_for
from kdlab.fits.progress import FitProgress
from kdlab.hardware import Hardware
from kdlab.modules.stacked import Stacked
from kdlab.modules.trained import TrainedNetwork

log = logging.getLogger(__name__)


def fit_stack(
    names: Sequence[str],
    students: Sequence[TrainedNetwork],
    views: Sequence[ClassificationData],
    *,
    max_epochs: int,
    hardware: Hardware,
    patience: int | None = None,
    checkpoint: Path | None = None,
) -> list[Took | Diverged]:
    """Train the students' networks at once, in place; return what each took, or why it diverged.

    Each network ends as `kdlab.fits.fit.fit` would have left it, but for rounding, and each student has its curve. The
    seconds are a student's share of the stack's.

    Args:
        names: of the fits, for messages.
        students: as each would be trained alone.
        views: of the data, one for each student.
        max_epochs: the most epochs.
        hardware: where to train.
        patience: as of a single fit.
        checkpoint: a file that is written after each epoch. Where it exists, the stack goes on from it. None for none.

    Raises:
        KeyboardInterrupt: on Ctrl-C.
    """
    name = f"{len(students)} students"
    data = of_stack(views)
    module, each_epoch = Stacked(students, patience=patience), CheckpointEachEpoch(checkpoint)
    callbacks = [Quiet(), SeedEachEpoch(data.order_seed), FitProgress(name), each_epoch]
    trainer = trainer_for(data, max_epochs, callbacks, hardware, board=None)
    seconds = run(name, trainer, module, data, each_epoch) / len(students)
    data.trainer = None
    took = Took(trainer.current_epoch, seconds, each_epoch.threads)
    return [
        _ended(student_name, student, module, index, views[index], hardware, took)
        for index, (student_name, student) in enumerate(zip(names, students, strict=True))
    ]


def _ended(
    name: str,
    student: TrainedNetwork,
    module: Stacked,
    index: int,
    data: ClassificationData,
    hardware: Hardware,
    took: Took,
) -> Took | Diverged:
    """Give a student the weights and the curve that it has come to."""
    if index in module.diverged:
        return Diverged(f"{name}: {module.diverged[index]}")
    student.net.load_state_dict(module.weights_of(index))
    student.net.eval()
    student.curve = module.curves[index]
    try:
        with stops_named(name):
            check_finite(student, data, hardware.device)
    except Diverged as error:
        return error
    if module.patience is not None:
        best = module.best_epochs[index]
        accuracy = module.best_accuracies[index]
        log.info("%s: epoch %d had the highest validation accuracy, %.2f%%", name, best, 100 * accuracy)
    return took._replace(epochs=module.stopped[index] or took.epochs)
