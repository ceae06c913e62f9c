"""Classes of images by a network of a finished run: `python -m kdlab.predict RUN_DIR IMAGE…`."""
