"""A point that was finished before, recognized before Hydra prepares its job. Called by `kdlab.sweeps.job`."""

import importlib
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import env_override
from hydra.experimental.callback import Callback

from kdlab.config.commands import given_at
from kdlab.config.compose import ComposedConfig, is_recorded, resolved_task
from kdlab.outcome import failure_of


def is_finished(composed: ComposedConfig, callbacks: Callbacks, folder: Path) -> bool:
    """Tell whether a composed point needs no job, since its folder holds what the job would find and leave there.

    Its console.log and Hydra's record then stay as they are. False where a callback wants to see each job, where jobs
    change their working directory, and where anything is wrong: the job says what.
    """
    job, sweep = composed.hydra.job, Path(composed.hydra.sweep.dir)
    has_results = (folder / "results.json").exists() and failure_of(folder) is None
    if not has_results or job.chdir or _sees_jobs(callbacks):
        return False
    pipeline = importlib.import_module("kdlab.pipeline")  # imports torch
    try:
        with env_override(job.env_set):
            return is_recorded(composed, folder) and pipeline.finished_before(
                resolved_task(composed), folder, began=given_at(sweep), sweep=sweep
            )
    except (Exception, SystemExit):  # the user's own code may do anything; the job will meet it too
        return False


def _sees_jobs(callbacks: Callbacks) -> bool:
    return any(
        getattr(type(callback), name, None) is not getattr(Callback, name)
        for callback in callbacks.callbacks
        for name in ("on_job_start", "on_job_end")
    )
