"""A student leaves the bench: `python -m kdlab.export RUN_DIR` writes it in forms that run without kdlab."""
