"""The command that does a run, or a sweep, again: what was typed, less where it goes and how it is launched."""

import shlex
from typing import Any


def repeating(hydra: Any, *, sweep: bool) -> str:
    """Return the command, of Hydra's own record of a run (`HydraConfig.get()`, or `hydra` in `multirun.yaml`).

    Args:
        hydra: the record.
        sweep: whether it is that of a sweep; of a sweep's point the command is a run of its own.
    """
    words = ["python", "-m", "kdlab.train", *(["-m"] if sweep else [])]
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            words += ["--config-dir", source.path]
    if hydra.job.config_name not in (None, "train"):
        words += ["--config-name", hydra.job.config_name]
    return shlex.join([*words, *map(str, hydra.overrides.task)])
