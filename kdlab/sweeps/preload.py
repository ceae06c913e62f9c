"""What is slow to import, imported once for all jobs of a sweep."""

import kdlab.pipeline  # noqa: F401
