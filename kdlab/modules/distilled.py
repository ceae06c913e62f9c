"""The student under training: a network that learns from labels, or from a teacher's choices or soft targets."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.data import Batch
from kdlab.losses.scheduled import is_scheduled, tell
from kdlab.modules.teacher import Teacher
from kdlab.modules.trained import TrainedNetwork, progress


class Distilled(TrainedNetwork):
    """Minimizes a loss between the student's logits and its targets.

    Args:
        net: the student.
        loss: a `DistillationLoss`, or any other loss of `kdlab.losses`' form.
        teacher: gives logits (B, C) for a batch; None to learn from the labels alone. It is no submodule of this one:
            neither `.train()` nor a checkpoint reaches it.
        soft: whether the loss gets the teacher's logits; otherwise its first choices take the place of the labels.
        **kwargs: optimizer and schedule, see `TrainedNetwork`.
    """

    def __init__(
        self, net: nn.Module, *, loss: nn.Module, teacher: Teacher | None, soft: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(net, **kwargs)
        self.loss = loss
        self.scheduled = is_scheduled(name for name, _ in loss.named_buffers())
        self.teacher = teacher
        self.soft = soft

    def on_fit_start(self) -> None:
        """Bring the teacher to the student's device."""
        if self.teacher:
            self.teacher.to(self.device)

    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Any]:
        """Return the total loss, its soft term if it has one, and the cross-entropy with the labels."""
        if self.scheduled:
            tell(self.loss.named_buffers(), progress(self))
        answers, classes = self.teacher(batch) if self.teacher else None, batch.labels
        if answers is not None and not self.soft:
            classes, answers = answers.argmax(dim=1), None
        terms = self.loss(student_logits=logits, teacher_logits=answers, targets=classes)
        soft = {} if terms.soft is None else {"soft_loss": terms.soft}
        with_labels = terms.hard if classes is batch.labels else F.cross_entropy(logits.detach(), batch.labels)
        return {"loss": terms.total, **soft, "hard_loss": with_labels}
