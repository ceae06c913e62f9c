"""kdlab: a laboratory bench for knowledge distillation.

    import kdlab

    kdlab.run("dark_knowledge", "data=digits", "loss.temperature=4")       # one experiment
    kdlab.sweep("dark_knowledge", "data=digits", "loss.temperature=1,4,20")  # a grid
    kdlab.load("outputs/dark_knowledge/…")                                 # what either left on disk

Importing kdlab imports nothing else; the first call imports torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdlab.api import load, run, sweep

__version__ = "0.1.0"
__all__ = ["load", "run", "sweep"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from kdlab import api

        return getattr(api, name)
    raise AttributeError(f"module 'kdlab' has no attribute {name!r}")
