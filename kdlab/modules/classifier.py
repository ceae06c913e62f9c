"""A network trained on hard targets: the teacher, the baseline, and students of someone else's first choices."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.data import Batch
from kdlab.modules.teacher import Teacher
from kdlab.modules.trained import TrainedNetwork


class Classifier(TrainedNetwork):
    """Minimizes the cross-entropy with the labels or, given a teacher, with the teacher's first choice, in float32.

    Args:
        net: the network.
        teacher: gives logits (B, C) for a batch; its argmax takes the label's place. None for the labels themselves.
        **kwargs: optimizer and schedule, see `TrainedNetwork`.
    """

    def __init__(self, net: nn.Module, *, teacher: Teacher | None = None, **kwargs: Any) -> None:
        super().__init__(net, **kwargs)
        self.teacher = teacher

    def on_fit_start(self) -> None:
        """Bring the teacher, if there is one, to the network's device."""
        if self.teacher:
            self.teacher.to(self.device)

    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the mean cross-entropy, in nats: with the teacher's choices, if there is one, and with the labels."""
        with_labels = F.cross_entropy(logits.float(), batch.labels)
        if not self.teacher:
            return {"loss": with_labels, "hard_loss": with_labels}
        choices = self.teacher(batch).argmax(dim=1)
        return {"loss": F.cross_entropy(logits.float(), choices), "hard_loss": with_labels.detach()}
