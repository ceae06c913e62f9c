"""Trackers beside TensorBoard: a run's findings in CSV files, MLflow, Weights & Biases, Trackio, or any other."""

from kdlab.trackers.trackio import Trackio

__all__ = ["Trackio"]
