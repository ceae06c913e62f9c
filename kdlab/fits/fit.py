"""One fit by Lightning: a network under training, its data, its epochs."""

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch.multiprocessing.spawn import ProcessRaisedException

from kdlab.data import ClassificationData
from kdlab.data.own_batches import OwnBatches
from kdlab.errors import Diverged
from kdlab.fits.callbacks import BestEpoch, CheckpointEachEpoch, Quiet, SeedEachEpoch, ignore_warnings
from kdlab.fits.logits import logits_of
from kdlab.fits.progress import FitProgress
from kdlab.hardware import Hardware
from kdlab.modules.trained import REMEDIES, TrainedNetwork

# The most training samples whose logits are checked at the end.
CHECKED = 256

log = logging.getLogger(__name__)


class Took(NamedTuple):
    """What a fit took: its epochs, seconds, and threads, at most as many as it began with."""

    epochs: int
    seconds: float
    threads: int


def fit(
    name: str,
    module: TrainedNetwork,
    data: ClassificationData,
    *,
    max_epochs: int,
    seed: int,
    hardware: Hardware,
    board: Path,
    patience: int | None = None,
    checkpoint: Path | None = None,
) -> Took:
    """Train `module.net` on `data`, in place; return the epochs, the seconds and the threads that it took.

    The network ends on the CPU, in eval mode, with the weights of the last epoch or, with `patience`, of the best one.

    Args:
        name: the fit's name, for messages.
        module: the network with its loss and optimizer.
        data: this fit's view of the data.
        max_epochs: the most epochs.
        seed: of dropout; order and augmentation have the seed of the data's view.
        hardware: where to train.
        board: folder of its TensorBoard files; what lies there is replaced.
        patience: stop after so many epochs without a higher validation accuracy, and go back to the weights of the
            best epoch; None to take the last epoch's.
        checkpoint: a file that is written after each epoch. Where it exists, the fit goes on from it, and ends with the
            weights, bit for bit, that it would have had without the interruption. None to write none.

    Raises:
        Diverged: when the loss is no longer finite.
        KeyboardInterrupt: on Ctrl-C.
    """
    data.setup()
    with _handed_over_by(checkpoint, hardware) as path:
        best, each_epoch = BestEpoch(), CheckpointEachEpoch(path)
        stop = EarlyStopping("val/accuracy_seen", mode="max", patience=patience or 0)
        callbacks = [Quiet(), SeedEachEpoch(seed), FitProgress(name), *([] if patience is None else [best, stop])]
        shutil.rmtree(board, ignore_errors=True)
        trainer = trainer_for(data, max_epochs, [*callbacks, each_epoch], hardware, board)
        seconds = run(name, trainer, module, data, each_epoch)
        epochs = _hand_over(module, best, each_epoch) if hardware.devices > 1 else trainer.current_epoch
    _finish(name, module, data, hardware, None if patience is None else best)
    return Took(epochs, seconds, each_epoch.threads)


def run(
    name: str, trainer: Trainer, module: LightningModule, data: LightningDataModule, each_epoch: CheckpointEachEpoch
) -> float:
    """Train from the checkpoint, if there is one; return the seconds that it took in all.

    A fit that was cut off goes on with as many threads as before, or with fewer where there are not so many.
    """
    start = time.perf_counter()
    checkpoint = each_epoch.found(name, module)
    with warnings.catch_warnings(), stops_named(name), at_most(each_epoch.threads):
        ignore_warnings()
        trainer.fit(module.train(), datamodule=data, ckpt_path=checkpoint)
    return each_epoch.earlier_seconds + time.perf_counter() - start


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Let torch compute with at most so many threads in this block."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(threads, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finish(
    name: str, module: TrainedNetwork, data: ClassificationData, hardware: Hardware, best: BestEpoch | None
) -> None:
    """Go back to the best epoch where there is one, and free what training needed."""
    if module.averaged is not None:
        module.net.load_state_dict(module.outcome.state_dict())
    if best:
        module.net.load_state_dict(best.weights)
        log.info("%s: epoch %d had the highest validation accuracy, %.2f%%", name, best.epoch, 100 * best.accuracy)
    with stops_named(name):
        check_finite(module, data, hardware.device)
    data.trainer = module.trainer = None  # would keep the best epoch's weights and all of Lightning's loops alive
    module.net.cpu().eval()
    module.curve = [(epoch, figure, float(value)) for epoch, figure, value in module.curve]


@contextmanager
def _handed_over_by(checkpoint: Path | None, hardware: Hardware) -> Iterator[Path | None]:
    """Give the checkpoint's file: several devices need one, since their processes hand over their results by it."""
    if checkpoint or hardware.devices == 1:
        yield checkpoint
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch) / "epoch.ckpt"


def check_finite(module: TrainedNetwork, data: ClassificationData, device: torch.device) -> None:
    """Raise Diverged where the last step left weights, or gives logits, that are not finite."""
    inputs = data.train.inputs[data.train_ids[: min(CHECKED, data.batch_size)]]
    logits = logits_of(module.net, inputs, data.scale, device, data.batch_size)
    weights = (value for value in module.net.state_dict().values() if value.is_floating_point())
    for what, found in (("weights", [*weights]), ("logits", [logits])):
        if not all(value.isfinite().all() for value in found):
            raise Diverged(f"the training diverged: its {what} are not finite after the last epoch; {REMEDIES}")


@contextmanager
def stops_named(name: str) -> Iterator[None]:
    """Translate the exceptions of Lightning and of other processes into those that `fit` raises."""
    try:
        yield
    except Diverged as error:
        raise Diverged(f"{name}: {error}") from error
    except ProcessRaisedException as error:  # from the process of one of several devices
        _, diverged, message = str(error).rpartition(f"{Diverged.__module__}.{Diverged.__qualname__}: ")
        if not diverged:
            raise
        raise Diverged(f"{name}: {message.strip()}") from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from stop
        raise


def trainer_for(
    data: ClassificationData | OwnBatches,
    max_epochs: int,
    callbacks: Sequence[Callback],
    hardware: Hardware,
    board: Path | None,
) -> Trainer:
    """Return Lightning's trainer for one fit or one stack; with a `board` it writes TensorBoard files there."""
    return Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        strategy="ddp_spawn" if hardware.devices > 1 else "auto",
        # Inside a SLURM job Lightning would take the job's tasks for its processes; these it spawns itself.
        plugins=[LightningEnvironment()] if hardware.devices > 1 else None,
        sync_batchnorm=hardware.devices > 1 and hardware.accelerator == "gpu",  # torch has none for the CPU
        use_distributed_sampler=False,  # the data module brings its own; every process validates on all samples
        precision=hardware.precision,  # type: ignore[arg-type]
        max_epochs=max_epochs,
        logger=TensorBoardLogger(board.parent, name="", version=board.name) if board else False,
        log_every_n_steps=len(data.train_dataloader()),
        callbacks=list(callbacks),
        deterministic=hardware.deterministic if hardware.accelerator == "gpu" else False,
        limit_val_batches=1.0 if len(data.val_ids) else 0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _hand_over(module: TrainedNetwork, best: BestEpoch, each_epoch: CheckpointEachEpoch) -> int:
    """Load the last checkpoint of a fit on several devices into `module` and `best`; return the epochs trained."""
    assert each_epoch.path
    state: dict[str, Any] = torch.load(each_epoch.path, "cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    module.on_load_checkpoint(state)
    if best.state_key in state["callbacks"]:
        best.load_state_dict(state["callbacks"][best.state_key])
    return int(state["epoch"]) + 1
