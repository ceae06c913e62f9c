"""kdlab: a laboratory bench for knowledge distillation."""

__version__ = "0.1.0"
