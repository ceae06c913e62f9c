"""The losses of the students of a stack: alike ones are computed at once, over stacked numbers."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kdlab.data import Batch
from kdlab.losses import HardLoss
from kdlab.losses.scheduled import is_scheduled, tell
from kdlab.modules.distilled import Distilled
from kdlab.modules.teacher import CachedTeacher, LiveTeacher, Teacher
from kdlab.modules.trained import TrainedNetwork

FIGURES = ("loss", "soft_loss", "hard_loss")


class StackedLosses:
    """Computes the loss of each of S students.

    Students whose losses are of one class, and differ in buffers alone, are computed together; so are those who ask
    their teachers alike. `scheduled` says whether any of the losses wants to be told how far the fits have come.
    """

    def __init__(self, students: Sequence[TrainedNetwork]) -> None:
        groups: dict[Any, list[int]] = defaultdict(list)
        for index, student in enumerate(students):
            groups[_kind(student)].append(index)
        self.groups = [_Group([students[index] for index in members]) for members in groups.values()]
        self.scheduled = any(is_scheduled(group.numbers) for group in self.groups)
        order = [index for members in groups.values() for index in members]
        self.place = torch.tensor(order).argsort()  # of each student in the groups' order
        self.members = [torch.tensor(members) for members in groups.values()]

    def to(self, device: torch.device) -> None:
        """Move the losses' numbers and the teachers."""
        self.place = self.place.to(device)
        self.members = [members.to(device) for members in self.members]
        for group in self.groups:
            group.to(device)

    def tell(self, progress: float) -> None:
        """Tell these losses which share of the fits' steps has been taken."""
        for group in self.groups:
            tell(group.numbers.items(), progress)

    def __call__(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the means over the batch, (S,) each: `loss`, `hard_loss`, `soft_loss`; NaN where there is none.

        Args:
            logits: (S, B, C).
            batch: of all students, with ids (B,), or of their own, with ids (S, B).
        """
        if len(self.groups) == 1:
            return self.groups[0](logits, batch)
        parts = [
            group(logits[members], _of(batch, members, with_inputs=group.live))
            for group, members in zip(self.groups, self.members, strict=True)
        ]
        names = [name for name in FIGURES if any(name in part for part in parts)]
        return {
            name: torch.cat([part.get(name, torch.full_like(part["loss"].detach(), torch.nan)) for part in parts])[
                self.place
            ]
            for name in names
        }


class _Group:
    """Students with one kind of loss, and one kind of targets."""

    def __init__(self, students: Sequence[TrainedNetwork]) -> None:
        losses = [_loss(student) for student in students]
        self.loss = losses[0]
        self.numbers = {
            name: torch.stack([dict(loss.named_buffers())[name] for loss in losses])
            for name, _ in losses[0].named_buffers()
        }
        self.soft = getattr(students[0], "soft", True)
        teachers = [getattr(student, "teacher", None) for student in students]
        self.of_students: list[Teacher] = [teacher for teacher in teachers if teacher]
        self.teachers = list({id(teacher): teacher for teacher in self.of_students}.values())
        self.which = torch.tensor([self.teachers.index(teacher) for teacher in self.of_students])
        self.live = any(isinstance(teacher, LiveTeacher) for teacher in self.teachers)
        self.logits: Tensor | None = None  # of several cached teachers, (T, N, C)

    def to(self, device: torch.device) -> None:
        self.loss.to(device)
        self.numbers = {name: value.to(device) for name, value in self.numbers.items()}
        self.which = self.which.to(device)
        cached = [teacher.logits.to(device) for teacher in self.teachers if isinstance(teacher, CachedTeacher)]
        if len(cached) > 1:
            self.logits = torch.stack(cached)
            return
        for teacher in self.teachers:
            teacher.to(device)

    def __call__(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        answers, classes = self._answers(batch), batch.labels
        chosen = answers is not None and not self.soft
        if chosen:
            assert answers is not None
            classes, answers = answers.argmax(dim=-1), None
        # Without an axis of their own, all students have the same answers, and the same classes.
        dims = (0, 0, None if answers is None or answers.ndim == 2 else 0, None if classes.ndim == 1 else 0)
        terms = vmap(self._terms, in_dims=dims)(self.numbers, logits, answers, classes)
        if chosen:
            terms["hard_loss"] = cross_entropies(logits.detach(), batch.labels).mean(dim=1)
        return terms

    def _terms(self, numbers: dict[str, Tensor], logits: Tensor, answers: Tensor | None, classes: Tensor) -> Any:
        call = {"student_logits": logits, "teacher_logits": answers, "targets": classes}
        terms = functional_call(self.loss, numbers, kwargs=call)
        soft = {} if terms.soft is None else {"soft_loss": terms.soft}
        return {"loss": terms.total, **soft, "hard_loss": terms.hard}

    def _answers(self, batch: Batch) -> Tensor | None:
        """Return the teachers' logits: (B, C) where all students ask the same, else (S, B, C)."""
        if not self.teachers:
            return None
        if len(self.teachers) == 1:
            return self.teachers[0](batch)
        if self.logits is not None:
            return self.logits[self.which[:, None], batch.ids]
        if batch.ids.ndim == 1:
            return torch.stack([teacher(batch) for teacher in self.teachers])[self.which]
        return torch.stack([teacher(_of(batch, index)) for index, teacher in enumerate(self.of_students)])


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (S, B) of logits (S, B, C) with the labels, (B,) for all students or (S, B)."""
    labels = labels.expand(logits.shape[:2])
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return loss.unflatten(0, labels.shape)


def _of(batch: Batch, members: Any, *, with_inputs: bool = True) -> Batch:
    """Return the batch as some students of the stack see it; inputs only for those who ask a live teacher."""
    if batch.ids.ndim == 1:
        return batch
    inputs = batch.inputs[members] if with_inputs else batch.inputs[:0]
    return Batch(inputs, batch.labels[members], batch.ids[members])


def _loss(student: TrainedNetwork) -> nn.Module:
    return student.loss if isinstance(student, Distilled) else HardLoss()


def _kind(student: TrainedNetwork) -> Any:
    """Return what two students' losses must share to be computed as one: all but buffers."""
    loss = _loss(student)
    teacher = getattr(student, "teacher", None)
    targets = None if teacher is None else (type(teacher), getattr(student, "soft", True))
    return targets, tuple(described(loss))


def described(module: nn.Module) -> list[Any]:
    """Return what a module is, down to its parts: classes, plain attributes, shapes of parameters and buffers."""
    found: list[Any] = []
    for name, part in module.named_modules():
        plain = {key: repr(value) for key, value in vars(part).items() if key[0] != "_" and key != "training"}
        found.append((name, type(part), tuple(sorted(plain.items()))))
    state = [*module.named_parameters(), *module.named_buffers()]
    return [*found, *((name, tuple(value.shape), value.dtype) for name, value in state)]
