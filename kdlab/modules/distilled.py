"""A student trained on a teacher's soft targets."""

from typing import Any

from torch import Tensor, nn

from kdlab.data import Batch
from kdlab.losses import DistillationLoss
from kdlab.modules.teacher import Teacher
from kdlab.modules.trained import TrainedNetwork


class Distilled(TrainedNetwork):
    """Minimizes a `DistillationLoss` between a student and a teacher.

    Args:
        net: the student.
        loss: the distillation loss.
        teacher: gives the teacher's logits for a batch; no submodule of this one, so neither `.train()` nor a
            checkpoint reaches it.
        **kwargs: optimizer and schedule, see `TrainedNetwork`.
    """

    def __init__(self, net: nn.Module, *, loss: DistillationLoss, teacher: Teacher, **kwargs: Any) -> None:
        super().__init__(net, **kwargs)
        self.loss = loss
        self.teacher = teacher

    def on_fit_start(self) -> None:
        """Bring the teacher to the student's device."""
        self.teacher.to(self.device)

    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Any]:
        """Return the total loss and its soft and hard terms."""
        terms = self.loss(student_logits=logits, teacher_logits=self.teacher(batch), targets=batch.labels)
        return {"loss": terms.total, "soft_loss": terms.soft, "hard_loss": terms.hard}
