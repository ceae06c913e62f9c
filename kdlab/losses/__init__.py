"""Losses: tensors in, `LossTerms` out.

A loss takes `student_logits`, `teacher_logits` and `targets`. A loss that needs no soft targets sets
`needs_soft_targets = False` and gets `teacher_logits=None`. A loss with a buffer `progress` finds there, in each step,
the share of the fit's steps that have been taken.
"""

from kdlab.losses.confidence_penalty import ConfidencePenalty
from kdlab.losses.confidence_weighted import ConfidenceWeighted
from kdlab.losses.dist import CorrelationLoss
from kdlab.losses.distillation import DistillationLoss
from kdlab.losses.dkd import DecoupledLoss
from kdlab.losses.hard import HardLoss
from kdlab.losses.label_smoothing import LabelSmoothing
from kdlab.losses.nkd import NormalizedLoss
from kdlab.losses.scheduled import Scheduled
from kdlab.losses.standardized import Standardized
from kdlab.losses.terms import LossTerms
from kdlab.losses.ttm import TransformedTeacherLoss
from kdlab.losses.wsld import WeightedSoftLabels

__all__ = [
    "ConfidencePenalty", "ConfidenceWeighted", "CorrelationLoss", "DecoupledLoss", "DistillationLoss", "HardLoss",
    "LabelSmoothing", "LossTerms", "NormalizedLoss", "Scheduled", "Standardized", "TransformedTeacherLoss",
    "WeightedSoftLabels",
]  # fmt: skip
