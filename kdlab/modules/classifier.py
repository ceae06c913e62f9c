"""A network trained on labels: the teacher, and the baseline student."""

import torch.nn.functional as F
from torch import Tensor

from kdlab.data import Batch
from kdlab.modules.trained import TrainedNetwork


class Classifier(TrainedNetwork):
    """Minimizes the cross-entropy with the labels, in float32."""

    def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the mean cross-entropy, in nats."""
        return {"loss": F.cross_entropy(logits.float(), batch.labels)}
