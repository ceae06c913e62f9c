"""Losses: tensors in, `LossTerms` out."""

from kdlab.losses.distillation import DistillationLoss, LossTerms

__all__ = ["DistillationLoss", "LossTerms"]
