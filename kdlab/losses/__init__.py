"""Losses: tensors in, `LossTerms` out.

A loss takes `student_logits`, `teacher_logits` and `targets`. A loss that needs no soft targets sets
`needs_soft_targets = False` and gets `teacher_logits=None`.
"""

from kdlab.losses.confidence_penalty import ConfidencePenalty
from kdlab.losses.dist import CorrelationLoss
from kdlab.losses.distillation import DistillationLoss
from kdlab.losses.dkd import DecoupledLoss
from kdlab.losses.hard import HardLoss
from kdlab.losses.label_smoothing import LabelSmoothing
from kdlab.losses.nkd import NormalizedLoss
from kdlab.losses.standardized import Standardized
from kdlab.losses.terms import LossTerms
from kdlab.losses.ttm import TransformedTeacherLoss
from kdlab.losses.wsld import WeightedSoftLabels

__all__ = [
    "ConfidencePenalty", "CorrelationLoss", "DecoupledLoss", "DistillationLoss", "HardLoss", "LabelSmoothing",
    "LossTerms", "NormalizedLoss", "Standardized", "TransformedTeacherLoss", "WeightedSoftLabels",
]  # fmt: skip
