"""Losses: tensors in, `LossTerms` out.

A loss takes `student_logits`, `teacher_logits` and `targets`. One that needs no teacher's logits says
`needs_soft_targets = False`, and gets None for them.
"""

from kdlab.losses.distillation import DistillationLoss
from kdlab.losses.hard import HardLoss
from kdlab.losses.terms import LossTerms

__all__ = ["DistillationLoss", "HardLoss", "LossTerms"]
