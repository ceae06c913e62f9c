"""Callbacks of a fit: seed each epoch, keep the best epoch, write the checkpoint to resume from, silence Lightning."""

import copy
import logging
import os
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from kdlab.files import remove, whole
from kdlab.hashing import derive

# What a fit needs to go on.
CHECKPOINTED = {
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "callbacks",
    "epoch",
    "global_step",
    "curve",
}

log = logging.getLogger(__name__)

# Lightning announces devices and products here; results.json records what a run used.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.distributed").setLevel(logging.WARNING)


class SeedEachEpoch(Callback):
    """Make each epoch's randomness (dropout) a function of the fit's seed, the epoch's number, and the device's number.

    A checkpoint therefore needs no state of a random generator.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed all generators for the epoch."""
        purpose = f"epoch on device {trainer.global_rank}" if trainer.global_rank else "epoch"
        seed_everything(derive(self.seed, purpose, trainer.current_epoch), verbose=False)


class BestEpoch(Callback):
    """Keep the weights of the epoch with the highest validation accuracy, the first of equals."""

    def __init__(self) -> None:
        self.epoch, self.accuracy = 0, -1.0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Keep the weights if this epoch is better than the best so far."""
        accuracy = float(trainer.callback_metrics["val/accuracy_seen"])
        if accuracy > self.accuracy:
            self.epoch, self.accuracy = trainer.current_epoch + 1, accuracy
            self.weights = copy.deepcopy(module.outcome.state_dict())  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, Any]:
        """Return the callback's part of a checkpoint."""
        return {"epoch": self.epoch, "accuracy": self.accuracy, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the callback from a checkpoint."""
        vars(self).update(state_dict)


class CheckpointEachEpoch(Checkpoint):
    """Write a checkpoint after each epoch, after all other callbacks.

    `threads` is the number of threads that the fit has had, which settles the order of its sums.

    Args:
        path: the checkpoint's file; None to write none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.earlier_seconds = 0.0
        self.threads = torch.get_num_threads()
        self._stopped = False
        self._start = time.perf_counter()

    def found(self, name: str, module: LightningModule) -> Path | None:
        """Return the checkpoint of an interrupted fit of `module`; None if there is none, or if it is damaged."""
        if self.path is None or not os.path.lexists(self.path):
            return None
        try:
            state = torch.load(self.path, "cpu", weights_only=True)
            if problem := _foreign(state, module):
                raise ValueError(problem)
            own = state["callbacks"][self.state_key]
            self.earlier_seconds, self.threads = float(own["seconds"]), min(self.threads, int(own["threads"]))
        except Exception as error:  # torch.load raises many kinds of errors for a damaged file
            log.warning("%s: %s cannot be read; the fit starts anew: %r", name, self.path, error)
            remove(self.path)
            return None
        log.info("%s: goes on after epoch %d, where it was cut off", name, state["epoch"] + 1)
        return self.path

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at once if the fit had already stopped early."""
        trainer.should_stop = self._stopped

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the checkpoint."""
        if self.path:
            self._stopped = trainer.should_stop
            # All processes must call it; only the first one writes.
            with whole(self.path, sync=False) if trainer.is_global_zero else nullcontext(self.path) as path:
                trainer.save_checkpoint(path, weights_only=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the callback's part of a checkpoint."""
        seconds = self.earlier_seconds + time.perf_counter() - self._start
        return {"stopped": self._stopped, "seconds": seconds, "threads": self.threads}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the callback from a checkpoint."""
        self._stopped = state_dict["stopped"]


def _foreign(state: Any, module: LightningModule) -> str | None:
    """Return what a checkpoint has not that one of `module` has; None where that is nothing."""
    if not isinstance(state, dict) or (absent := CHECKPOINTED - state.keys()):
        return f"it lacks {', '.join(sorted(absent))}" if isinstance(state, dict) else "it is no checkpoint"
    own = {name: value.shape for name, value in module.state_dict().items()}
    kept = {name: value.shape for name, value in state["state_dict"].items()}
    return None if kept == own else "its weights have other names or shapes"


def ignore_warnings() -> None:
    """Filter out warnings that do not concern the user; the caller restores them with `warnings.catch_warnings`."""
    # The data are in memory: worker processes would only slow the loaders down.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Lightning uses what torch deprecates.
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")


class Quiet(Callback):
    """Silence Lightning in each process of a fit on several devices; these processes live for the fit alone."""

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Filter the warnings."""
        if trainer.world_size > 1:
            ignore_warnings()
