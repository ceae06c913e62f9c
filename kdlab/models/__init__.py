"""Networks: images in, logits out, and nothing else."""

from kdlab.models.mlp import MLP

__all__ = ["MLP"]
