"""What teachers and students under training share: optimizer, schedule, and per-epoch figures."""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kdlab.data import Batch
from kdlab.errors import Diverged
from kdlab.losses.terms import at_least_float32
from kdlab.modules.epoch import EpochSums, full_precision
from kdlab.modules.rates import frozen, shares_of

MakeOptimizer = Callable[[Any], Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]

REMEDIES = "a lower learning rate, a warmup (schedule.warmup=0.1) or another temperature may help"


def total_steps(trainer: Trainer) -> int:
    """Return how many steps a fit takes that is not stopped early."""
    steps: int = trainer.datamodule.steps_per_epoch * trainer.max_epochs  # type: ignore[attr-defined]
    return steps


def progress(module: LightningModule) -> float:
    """Return the share of a fit's steps that have been taken; a fit that goes on counts those before."""
    return module.global_step / total_steps(module.trainer)


class TrainedNetwork(LightningModule, ABC):
    """A network under training; a subclass defines the loss.

    The data module, a `ClassificationData`, hands over several batches at a time; each batch is one optimizer step
    (Lightning's manual optimization). Figures are summed on the device and read once in an epoch: a step neither logs
    nor waits for the device.

    Args:
        net: inputs → logits (N, C).
        optimizer: parameters → optimizer.
        schedule: (optimizer, total number of steps) → learning-rate schedule, advanced each step.
        clip: the largest Euclidean norm of a step's gradients; longer ones are shortened. None for no limit.
        rates: learning rates of parts, as shares of the optimizer's, see `kdlab.modules.rates`; 0 freezes a part.
        average: the decay of an exponential moving average of the weights, which is validated, and which the fit ends
            with; it is updated after each step. None for the weights themselves.

    `curve` collects (epoch, figure, value) as they are logged, and is part of a checkpoint. Its figures:

    - `train/loss`: the loss that is minimized; `train/hard_loss`: the cross-entropy with the labels; `train/soft_loss`:
      the term with the soft targets, if the loss has one (nats);
    - `train/accuracy`: the share of right answers in training, each counted before its step;
    - `train/learning_rate`: at the epoch's first step; `train/samples_per_second`: validation time included;
    - `val/loss` (cross-entropy, nats) and `val/accuracy_seen`: on validation samples of the classes that the fit trains
      on; `val/accuracy_unseen`: on those of held-out classes, for information; selection never uses it.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule,
        clip: float | None = None,
        rates: Mapping[str, float] | None = None,
        average: float | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = net
        self.make_optimizer = optimizer
        self.make_schedule = schedule
        self.clip = clip
        self.rates = rates or {}
        self.averaged: AveragedModel | None = None
        if average is not None:
            self.averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)
            self.averaged.requires_grad_(False)
        self.curve: list[tuple[int, str, Any]] = []

    @property
    def outcome(self) -> nn.Module:
        """The network that the fit is about: the averaged one, if there is one."""
        return self.net if self.averaged is None else self.averaged.module

    @abstractmethod
    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return scalars averaged over the batch: `loss` (which is minimized), `hard_loss`, and `soft_loss` if any.

        `logits` (B, C) are in float32, and autocast is off.
        """

    def configure_optimizers(self) -> Any:
        """Build the optimizer, and a schedule over all steps of the fit."""
        optimizer = self._optimizer()
        return {"optimizer": optimizer, "lr_scheduler": self.make_schedule(optimizer, total_steps(self.trainer))}

    def _optimizer(self) -> Optimizer:
        """Return the optimizer, with a group for each share of the learning rate; frozen weights are in none."""
        if not self.rates:
            return self.make_optimizer(self.net.parameters())
        groups: dict[float, list[nn.Parameter]] = defaultdict(list)
        shares = shares_of(self.net, self.rates)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(shares[name] > 0)
            groups[shares[name]].append(parameter)
        groups.pop(0.0, None)
        optimizer = self.make_optimizer([{"params": members} for members in groups.values()])
        for share, group in zip(groups, optimizer.param_groups, strict=True):
            group["lr"] *= share
        return optimizer

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's sums; note the learning rate and the time; freeze what is not trained."""
        for module in frozen(self.net) if self.rates else ():
            module.eval()
        self._sums = EpochSums()
        self._learning_rate = float(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        self._start = time.perf_counter()

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Take one optimizer step for each batch, and add its losses to the epoch's sums."""
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        for batch in batches:
            logits = at_least_float32(self.net(batch.inputs))
            with full_precision(self.device):
                losses = self.losses(logits, batch)
            optimizer.zero_grad()  # type: ignore[union-attr]
            self.manual_backward(losses["loss"])
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
            optimizer.step()  # type: ignore[union-attr]
            schedule.step()  # type: ignore[union-attr]
            if self.averaged is not None:
                self.averaged.update_parameters(self.net)
            # Before Lightning 2.6, autocast keeps casts of the weights, which are stale now.
            torch.clear_autocast_cache()
            right = (logits.detach().argmax(dim=1) == batch.labels).float().mean()
            self._sums.add(losses | {"accuracy": right}, len(batch.labels))

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means, its learning rate and its speed.

        Raises:
            Diverged: when the loss is not finite.
        """
        means = {name: self._over_devices(mean) for name, mean in self._sums.means().items()}
        if not means["loss"].isfinite():
            raise Diverged(divergence("loss", float(means["loss"]), self.current_epoch + 1))
        samples = self._sums.count * self.trainer.world_size
        self._log(
            {f"train/{name}": mean for name, mean in means.items()}
            | {
                "train/learning_rate": self._learning_rate,
                "train/samples_per_second": samples / (time.perf_counter() - self._start),
            }
        )

    def _over_devices(self, mean: Tensor) -> Tensor:
        """Average over the processes of a fit on several devices, which have equally many samples."""
        average: Any = self.trainer.strategy.reduce(mean, reduce_op="mean")
        return average

    def on_validation_epoch_start(self) -> None:
        """Reset the validation sums."""
        held_out = self.trainer.datamodule.held_out  # type: ignore[attr-defined]
        self._held_out = torch.tensor(held_out, dtype=torch.long, device=self.device)
        self._val = torch.zeros(2, 3, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up cross-entropy, right answers and samples, separately for seen and unseen classes.

        In float32 whatever the training's precision, so that a curve shows what the rows of the results will.
        """
        with full_precision(self.device):
            logits = at_least_float32(self.outcome(batch.inputs))
            loss = F.cross_entropy(logits, batch.labels, reduction="none")
            right = (logits.argmax(dim=1) == batch.labels).float()
            unseen = torch.isin(batch.labels, self._held_out).float()
            figures = torch.stack([loss.float(), right, torch.ones_like(right)], dim=1)  # (B, 3)
            self._val += torch.stack([1 - unseen, unseen]) @ figures  # (2, B) @ (B, 3)

    def on_validation_epoch_end(self) -> None:
        """Log validation loss and accuracy.

        Raises:
            Diverged: when the loss is not finite.
        """
        (loss, right, count), (_, right_unseen, count_unseen) = self._val
        figures: dict[str, Tensor | float] = {"val/loss": loss / count, "val/accuracy_seen": right / count}
        if count and not loss.isfinite():
            raise Diverged(divergence("validation loss", float(loss), self.current_epoch + 1))
        if count_unseen:
            figures["val/accuracy_unseen"] = right_unseen / count_unseen
        self._log(figures)

    def _log(self, figures: dict[str, Tensor | float]) -> None:
        epoch = self.current_epoch + 1
        self.curve += [(epoch, name, value) for name, value in figures.items()]
        # `step` is the x-axis in TensorBoard: the number of epochs trained.
        self.log_dict(figures | {"step": float(epoch)}, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the curve."""
        checkpoint["curve"] = [(epoch, name, float(value)) for epoch, name, value in self.curve]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the curve."""
        self.curve = checkpoint["curve"]


def divergence(what: str, value: float, epoch: int) -> str:
    """Return the message about a loss that is not finite, with the remedies."""
    return f"the training diverged: its {what} is {value} in epoch {epoch}; {REMEDIES}"
