"""The slow imports, done once for all jobs of a sweep."""

import kdlab.sweeps.ahead  # noqa: F401
