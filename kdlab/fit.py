"""One fit: a network under training + its data + its recipe → a trained network."""

import copy
import logging
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from kdlab.data import ClassificationData
from kdlab.errors import Diverged
from kdlab.hardware import Hardware
from kdlab.modules.trained import TrainedNetwork
from kdlab.progress import FitProgress
from kdlab.seeds import derive

# Lightning announces devices and products here; what a run uses stands in its results.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


log = logging.getLogger(__name__)


class Fitted(NamedTuple):
    """A trained network, on the CPU and in eval mode, what it took, and its curves as (epoch, figure, value)."""

    net: nn.Module
    epochs: int
    seconds: float
    curves: list[tuple[int, str, float]]


class SeedEachEpoch(Callback):
    """Make each epoch's randomness (dropout) a function of the fit's seed and the epoch's number."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed anew."""
        seed_everything(derive(self.seed, "epoch", trainer.current_epoch), verbose=False)


class BestEpoch(Callback):
    """Keep the weights of the epoch with the highest validation accuracy, the first of equals."""

    def __init__(self) -> None:
        self.epoch, self.accuracy = 0, -1.0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Compare the epoch that was just validated with the best so far."""
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        if accuracy > self.accuracy:
            self.epoch, self.accuracy = trainer.current_epoch + 1, accuracy
            self.weights = copy.deepcopy(module.net.state_dict())  # type: ignore[union-attr]


def fit(
    name: str,
    module: TrainedNetwork,
    data: ClassificationData,
    *,
    max_epochs: int,
    seed: int,
    hardware: Hardware,
    folder: Path,
    patience: int | None = None,
) -> Fitted:
    """Train `module.net` on `data` for `max_epochs`; the last epoch's weights are the result, or the best epoch's.

    Args:
        name: of the fit; its TensorBoard files go to `folder/tensorboard/<name>/`.
        module: the network with its loss and optimizer.
        data: this fit's view of the data.
        max_epochs: passes over the training samples.
        seed: of dropout; the data's view has its own.
        hardware: what to train on.
        folder: of the run.
        patience: stop after so many epochs without a higher validation accuracy, and go back to the weights of the
            best epoch; None to take the last epoch's.

    Raises:
        Diverged: when the loss is no longer finite.
        KeyboardInterrupt: on Ctrl-C.
    """
    data.setup()
    best = BestEpoch()
    selection = [] if patience is None else [best, EarlyStopping("val/accuracy", mode="max", patience=patience)]
    callbacks = [SeedEachEpoch(seed), FitProgress(name), *selection]
    trainer = _trainer(name, data, max_epochs, callbacks, hardware, folder)
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
    if patience is not None:
        module.net.load_state_dict(best.weights)
        log.info("%s: epoch %d had the highest validation accuracy, %.2f%%", name, best.epoch, 100 * best.accuracy)
    curves = [(epoch, figure, float(value)) for epoch, figure, value in module.curves]
    return Fitted(module.net.cpu().eval(), trainer.current_epoch, time.perf_counter() - start, curves)


def _trainer(
    name: str, data: ClassificationData, max_epochs: int, callbacks: list[Callback], hardware: Hardware, folder: Path
) -> Trainer:
    return Trainer(
        accelerator=hardware.accelerator,
        devices=1,
        precision=hardware.precision,  # type: ignore[arg-type]
        max_epochs=max_epochs,
        logger=TensorBoardLogger(folder, name="tensorboard", version=name),
        log_every_n_steps=len(data.train_dataloader()),
        callbacks=callbacks,
        deterministic=hardware.accelerator == "gpu",
        limit_val_batches=1.0 if len(data.val_ids) else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
