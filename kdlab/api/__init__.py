"""The Python API, behind `kdlab.run`, `kdlab.sweep` and `kdlab.load`."""

from kdlab.api.finished import FinishedRun, FinishedSweep
from kdlab.api.network import Network
from kdlab.api.start import load, run, sweep

__all__ = ["FinishedRun", "FinishedSweep", "Network", "load", "run", "sweep"]
