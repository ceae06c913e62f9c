"""Losses: tensors in, `LossTerms` out.

A loss takes `student_logits`, `teacher_logits` and `targets`. A loss that needs no soft targets sets
`needs_soft_targets = False` and gets `teacher_logits=None`.
"""

from kdlab.losses.distillation import DistillationLoss
from kdlab.losses.hard import HardLoss
from kdlab.losses.terms import LossTerms

__all__ = ["DistillationLoss", "HardLoss", "LossTerms"]
