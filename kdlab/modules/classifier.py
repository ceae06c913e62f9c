"""The teacher under training: a network that learns from the labels."""

import torch.nn.functional as F
from torch import Tensor

from kdlab.data import Batch
from kdlab.modules.trained import TrainedNetwork


class Classifier(TrainedNetwork):
    """Minimizes the cross-entropy with the labels, in float32; see `TrainedNetwork` for its arguments."""

    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the mean cross-entropy with the labels, in nats."""
        loss = F.cross_entropy(logits, batch.labels)
        return {"loss": loss, "hard_loss": loss}
