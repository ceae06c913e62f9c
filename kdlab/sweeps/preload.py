"""The slow imports, done once for all jobs of a sweep."""

import kdlab.pipeline  # noqa: F401
