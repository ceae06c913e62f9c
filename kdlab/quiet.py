"""Silences what Lightning says that is no matter of the user's, in every process that a fit is spread over."""

import logging
import warnings

from lightning import Callback, LightningModule, Trainer

# Lightning announces devices and products here; what a run uses stands in its results.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning.fabric.utilities.distributed").setLevel(logging.WARNING)


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
