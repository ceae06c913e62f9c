"""LightningModules: how a network is trained."""

from kdlab.modules.classifier import Classifier
from kdlab.modules.distilled import Distilled
from kdlab.modules.teacher import CachedTeacher, LiveTeacher, Teacher

__all__ = ["CachedTeacher", "Classifier", "Distilled", "LiveTeacher", "Teacher"]
