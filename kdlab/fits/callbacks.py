"""What happens around a fit's epochs: seeds, the choice of the best one, the checkpoint to go on from, and silence."""

import copy
import logging
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from kdlab.files import whole
from kdlab.hashing import derive

log = logging.getLogger(__name__)

# Lightning announces devices and products here; what a run uses stands in its results.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.distributed").setLevel(logging.WARNING)


class SeedEachEpoch(Callback):
    """Make each epoch's randomness (dropout) a function of the fit's seed, the epoch's number, and the device's.

    It is why a checkpoint need not hold the state of any random generator: each epoch starts from its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed anew."""
        purpose = f"epoch on device {trainer.global_rank}" if trainer.global_rank else "epoch"
        seed_everything(derive(self.seed, purpose, trainer.current_epoch), verbose=False)


class BestEpoch(Callback):
    """Keep the weights of the epoch with the highest validation accuracy, the first of equals."""

    def __init__(self) -> None:
        self.epoch, self.accuracy = 0, -1.0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Compare the epoch that was just validated with the best so far."""
        accuracy = float(trainer.callback_metrics["val/accuracy_seen"])
        if accuracy > self.accuracy:
            self.epoch, self.accuracy = trainer.current_epoch + 1, accuracy
            self.weights = copy.deepcopy(module.net.state_dict())  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"epoch": self.epoch, "accuracy": self.accuracy, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        vars(self).update(state_dict)


class CheckpointEachEpoch(Checkpoint):
    """Write a checkpoint after each epoch, after all else that happens at its end; a reader finds it whole.

    Args:
        path: of the checkpoint; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.earlier_seconds = 0.0
        self._stopped = False
        self._start = time.perf_counter()

    def found(self, name: str) -> Path | None:
        """Return the checkpoint that an interrupted fit left, if there is one that can be read."""
        if self.path is None or not self.path.exists():
            return None
        try:
            state = torch.load(self.path, "cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds for what is no checkpoint
            log.warning("%s: %s cannot be read, so that it starts anew: %s", name, self.path, error)
            self.path.unlink()
            return None
        self.earlier_seconds = state["callbacks"][self.state_key]["seconds"]
        log.info("%s: goes on after epoch %d, where it was cut off", name, state["epoch"] + 1)
        return self.path

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at once where the fit had stopped early."""
        trainer.should_stop = self._stopped

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the checkpoint."""
        if self.path:
            self._stopped = trainer.should_stop
            # All processes of a fit take part; the first one writes.
            with whole(self.path, sync=False) if trainer.is_global_zero else nullcontext(self.path) as path:
                trainer.save_checkpoint(path, weights_only=False)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"stopped": self._stopped, "seconds": self.earlier_seconds + time.perf_counter() - self._start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self._stopped = state_dict["stopped"]


def ignore_warnings() -> None:
    """Add the filters; the caller takes them back (`warnings.catch_warnings`)."""
    # The data are in memory: worker processes would only slow the loaders down.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Between Lightning and torch.
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")


class Quiet(Callback):
    """Takes the filters to the processes of a fit on several devices, which live for it alone."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Add them."""
        if trainer.world_size > 1:
            ignore_warnings()
