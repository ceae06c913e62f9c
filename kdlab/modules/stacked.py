"""Many students of one architecture, trained as one network whose weights have one more axis.

Called by `kdlab.fits.stack`. A stack shares what a single fit spends most of its time on: images, batches, and the cost
of starting each operation. Student s of a stack takes the steps that it would take alone, but for rounding.
"""

import copy
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Optimizer

from kdlab.data import Batch
from kdlab.losses.terms import at_least_float32
from kdlab.modules.epoch import EpochSums, full_precision
from kdlab.modules.stacked_losses import StackedLosses, cross_entropies
from kdlab.modules.trained import TrainedNetwork, divergence, progress, total_steps

# What a checkpoint holds of each student besides its weights and its curve.
OF_STUDENTS = ("stopped", "diverged", "best_epochs", "best_accuracies", "best")


class Stacked(LightningModule):
    """S students under training, each with its own weights, loss, targets, and optimizer numbers.

    Args:
        students: as each would be trained alone; their networks, optimizers and schedules are alike but for numbers.
        patience: a student stops after so many epochs without a higher validation accuracy; None to train all epochs.

    `curves` holds each student's curve (see `TrainedNetwork`), `stopped` the epoch after which each stopped (None: it
    goes on), `diverged` why students diverged, by their index. A student that has stopped keeps its weights; with
    `patience`, `best` holds those of its best epoch.
    """

    def __init__(self, students: Sequence[TrainedNetwork], *, patience: int | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.size = len(students)
        self.net = stacked([student.net for student in students])
        self.losses = StackedLosses(students)
        self.make_optimizers = [student.make_optimizer for student in students]
        self.make_schedule = students[0].make_schedule
        self.patience = patience
        self.curves: list[list[tuple[int, str, float]]] = [[] for _ in students]
        self.stopped: list[int | None] = [None] * self.size
        self.diverged: dict[int, str] = {}
        self.best_epochs = [0] * self.size
        self.best_accuracies = [-1.0] * self.size
        self.best: dict[str, Tensor] = {}

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (S, B, C) of all students for a batch of all, or for their own batches."""
        return at_least_float32(outputs(self.net, batch.inputs, own=batch.ids.ndim == 2))

    def configure_optimizers(self) -> Any:
        """Build one optimizer over the slices of the stacked weights; students with the same numbers share a group."""
        parameters = list(self.net.parameters())
        self._slices = [[parameter.detach()[student] for parameter in parameters] for student in range(self.size)]
        groups: dict[str, list[int]] = defaultdict(list)
        for student, make in enumerate(self.make_optimizers):
            groups[repr(_numbers(make))].append(student)
        members = list(groups.values())
        slices: Any = [{"params": [piece for student in group for piece in self._slices[student]]} for group in members]
        optimizer: Optimizer = self.make_optimizers[0](slices)
        self._group_of = {student: index for index, group in enumerate(members) for student in group}
        for group, student in zip(optimizer.param_groups, (group[0] for group in members), strict=True):
            group.update(_numbers(self.make_optimizers[student]))
        return {"optimizer": optimizer, "lr_scheduler": self.make_schedule(optimizer, total_steps(self.trainer))}

    def on_fit_start(self) -> None:
        """Bring the losses and the teachers to the students' device."""
        self.losses.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Reset the epoch's sums; note the learning rates and the time."""
        self._sums = EpochSums()
        groups = self.optimizers().param_groups  # type: ignore[union-attr]
        self._learning_rates = [float(groups[self._group_of[student]]["lr"]) for student in range(self.size)]
        self._start = time.perf_counter()
        self._take_back_gradients()  # Lightning has replaced the tensors for a validation epoch

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Take one optimizer step for each batch, and add its losses to the epoch's sums."""
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        for batch in batches:
            logits = self(batch)
            if self.losses.scheduled:
                self.losses.tell(progress(self))
            with full_precision(self.device):
                means = self.losses(logits, batch)
                right = (logits.detach().argmax(dim=-1) == batch.labels).float().mean(dim=-1)
            for parameter in self.net.parameters():
                if parameter.grad is not None:
                    parameter.grad.zero_()
            self.manual_backward(means["loss"].sum())
            self._hand_out_gradients()
            optimizer.step()  # type: ignore[union-attr]
            schedule.step()  # type: ignore[union-attr]
            torch.clear_autocast_cache()
            self._sums.add(means | {"accuracy": right}, batch.labels.shape[-1])

    def _hand_out_gradients(self) -> None:
        """Give each slice its part of the gradient, once: backward adds to the same tensors in every step."""
        for student, pieces in enumerate(self._slices):
            if self.stopped[student] is None and pieces[0].grad is None:
                for piece, parameter in zip(pieces, self.net.parameters(), strict=True):
                    piece.grad = None if parameter.grad is None else parameter.grad[student]

    def _take_back_gradients(self) -> None:
        for pieces in self._slices:
            for piece in pieces:
                piece.grad = None

    def on_train_epoch_end(self) -> None:
        """Note the epoch's means of each student, and stop those whose loss is not finite."""
        means = {f"train/{name}": mean.tolist() for name, mean in self._sums.means().items()}
        speed = self._sums.count / (time.perf_counter() - self._start)
        for student in range(self.size):
            if student in self.diverged or self.stopped[student] not in (None, self.current_epoch + 1):
                continue
            if not math.isfinite(means["train/loss"][student]):
                self._give_up(student, "loss", means["train/loss"][student])
                continue
            own = {name: values[student] for name, values in means.items() if not math.isnan(values[student])}
            own |= {"train/learning_rate": self._learning_rates[student], "train/samples_per_second": speed}
            self._note(student, own)
        self._show("train/loss", means["train/loss"])
        self.trainer.should_stop = all(stopped is not None for stopped in self.stopped)

    def _note(self, student: int, figures: dict[str, float]) -> None:
        epoch = self.current_epoch + 1
        self.curves[student] += [(epoch, name, value) for name, value in figures.items()]

    def _show(self, name: str, values: list[float]) -> None:
        """Log the mean over the students that have not diverged, for the progress."""
        finite = [value for student, value in enumerate(values) if student not in self.diverged]
        if finite:
            self.log(name, sum(finite) / len(finite), logger=False)

    def _stop(self, student: int) -> None:
        """Let a student keep its weights from now on: an optimizer passes over weights without a gradient."""
        self.stopped[student] = self.stopped[student] or self.current_epoch + 1
        for piece in self._slices[student]:
            piece.grad = None

    def _give_up(self, student: int, what: str, value: float) -> None:
        self.diverged[student] = divergence(what, value, self.current_epoch + 1)
        self._stop(student)

    def on_validation_epoch_start(self) -> None:
        """Reset the validation sums."""
        held_out = self.trainer.datamodule.held_out  # type: ignore[attr-defined]
        self._held_out = torch.tensor(held_out, dtype=torch.long, device=self.device)
        self._val = torch.zeros(self.size, 2, 3, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up cross-entropy, right answers and samples, separately for seen and unseen classes, in float32."""
        with full_precision(self.device):
            logits = self(batch)
            labels = batch.labels.expand(self.size, -1)  # (S, B)
            loss = cross_entropies(logits, labels)
            right = (logits.argmax(dim=-1) == labels).float()
            unseen = torch.isin(batch.labels, self._held_out).float()
            figures = torch.stack([loss.float(), right, torch.ones_like(right)], dim=2)  # (S, B, 3)
            self._val += torch.stack([1 - unseen, unseen], dim=-2) @ figures  # (2, B), or (S, 2, B), @ (S, B, 3)

    def on_validation_epoch_end(self) -> None:
        """Note validation loss and accuracy of each student, and whether it goes on."""
        for student, ((loss, right, count), (_, right_unseen, count_unseen)) in enumerate(self._val.tolist()):
            if self.stopped[student] is not None:
                continue
            if not math.isfinite(loss):
                self._give_up(student, "validation loss", loss)
                continue
            figures = {"val/loss": loss / count, "val/accuracy_seen": right / count}
            if count_unseen:
                figures["val/accuracy_unseen"] = right_unseen / count_unseen
            self._note(student, figures)
            if self.patience is not None:
                self._select(student, figures["val/accuracy_seen"], self.patience)
        accuracies = (self._val[:, 0, 1] / self._val[:, 0, 2]).tolist()
        self._show("val/accuracy_seen", accuracies)

    def _select(self, student: int, accuracy: float, patience: int) -> None:
        """Keep a student's weights if this epoch is its best, the first of equals; stop it after `patience` others."""
        epoch = self.current_epoch + 1
        if accuracy > self.best_accuracies[student]:
            self.best_accuracies[student], self.best_epochs[student] = accuracy, epoch
            for name, value in self.net.state_dict().items():
                self.best.setdefault(name, torch.empty_like(value))[student] = value[student]
        elif epoch - self.best_epochs[student] >= patience:
            self._stop(student)

    def weights_of(self, student: int) -> dict[str, Tensor]:
        """Return a student's state_dict, of its best epoch where `patience` asks for that, on the CPU."""
        source = self.net.state_dict() if self.patience is None else self.best
        return {name: value[student].cpu().clone() for name, value in source.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what each student has come to."""
        checkpoint["curve"] = self.curves
        checkpoint["students"] = {name: getattr(self, name) for name in OF_STUDENTS}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what each student had come to."""
        self.curves = checkpoint["curve"]
        for name, value in checkpoint["students"].items():
            setattr(self, name, value)


def stacked(nets: Sequence[nn.Module]) -> nn.Module:
    """Return a network like each of `nets`, whose parameters and buffers have a first axis with one entry for each."""
    together = copy.deepcopy(nets[0])
    parameters, buffers = stack_module_state(list(nets))
    for name, value in parameters.items():
        path, _, own = name.rpartition(".")
        together.get_submodule(path).register_parameter(own, nn.Parameter(value.detach().clone()))
    for name, value in buffers.items():
        path, _, own = name.rpartition(".")
        together.get_submodule(path).register_buffer(own, value.detach().clone())
    return together


def outputs(net: nn.Module, inputs: Tensor, *, own: bool = False) -> Tensor:
    """Return the outputs (S, B, …) of a stacked network for shared inputs (B, …), or for each its own (S, B, …)."""
    state = dict(net.named_parameters()) | dict(net.named_buffers())
    result: Tensor = vmap(lambda state, x: functional_call(net, state, (x,)), in_dims=(0, 0 if own else None))(
        state, inputs
    )
    return result


def _numbers(make_optimizer: Any) -> dict[str, Any]:
    """Return the arguments of an optimizer that is still to be made."""
    return dict(getattr(make_optimizer, "keywords", {}))
