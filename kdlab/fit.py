"""One fit: a network under training + its data + its recipe → a trained network."""

import logging
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from kdlab.data import ClassificationData
from kdlab.errors import Diverged
from kdlab.hardware import Hardware
from kdlab.modules.trained import TrainedNetwork
from kdlab.progress import FitProgress
from kdlab.seeds import derive

# Lightning announces devices and products here; what a run uses stands in its results.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


class Fitted(NamedTuple):
    """A trained network, on the CPU and in eval mode, and what it took."""

    net: nn.Module
    epochs: int
    seconds: float


class SeedEachEpoch(Callback):
    """Make each epoch's randomness (dropout) a function of the fit's seed and the epoch's number."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed anew."""
        seed_everything(derive(self.seed, "epoch", trainer.current_epoch), verbose=False)


def fit(
    name: str,
    module: TrainedNetwork,
    data: ClassificationData,
    *,
    max_epochs: int,
    seed: int,
    hardware: Hardware,
    folder: Path,
) -> Fitted:
    """Train `module.net` on `data` for `max_epochs`; the last epoch's weights are the result.

    Args:
        name: of the fit; its TensorBoard files go to `folder/tensorboard/<name>/`.
        module: the network with its loss and optimizer.
        data: this fit's view of the data.
        max_epochs: passes over the training samples.
        seed: of dropout; the data's view has its own.
        hardware: what to train on.
        folder: of the run.

    Raises:
        Diverged: when the loss is no longer finite.
        KeyboardInterrupt: on Ctrl-C.
    """
    data.setup()
    trainer = _trainer(name, data, max_epochs, seed, hardware, folder)
    start = time.perf_counter()
    with warnings.catch_warnings():
        # The data are in memory: worker processes would only slow the loaders down.
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # Between Lightning and torch, no matter of the user's.
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        try:
            trainer.fit(module.train(), datamodule=data)
        except Diverged as error:
            raise Diverged(f"{name}: {error}") from error
        except SystemExit as stop:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from stop
    return Fitted(module.net.cpu().eval(), trainer.current_epoch, time.perf_counter() - start)


def _trainer(
    name: str, data: ClassificationData, max_epochs: int, seed: int, hardware: Hardware, folder: Path
) -> Trainer:
    return Trainer(
        accelerator=hardware.accelerator,
        devices=1,
        precision=hardware.precision,  # type: ignore[arg-type]
        max_epochs=max_epochs,
        logger=TensorBoardLogger(folder, name="tensorboard", version=name),
        log_every_n_steps=len(data.train_dataloader()),
        callbacks=[SeedEachEpoch(seed), FitProgress(name)],
        deterministic=hardware.accelerator == "gpu",
        limit_val_batches=1.0 if len(data.val_ids) else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
