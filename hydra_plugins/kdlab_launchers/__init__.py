"""Makes `hydra/launcher=pool` known to Hydra, which imports this at every start; see `kdlab.sweeps.pool`."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PoolLauncher(Launcher):
    """Runs a sweep's jobs side by side on this machine, each in a process and on a device of its own.

    Args:
        slots: how many at once; `auto` for one on each GPU (times `jobs_per_gpu`), or without GPUs on each core.
        jobs_per_gpu: how many share a GPU.
        gpus: which to use, as CUDA_VISIBLE_DEVICES names them; `auto` for all.
    """

    def __init__(self, slots: Any, jobs_per_gpu: Any, gpus: Any) -> None:
        self.settings = {"slots": slots, "jobs_per_gpu": jobs_per_gpu, "gpus": gpus}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra says of the sweep."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs."""
        from kdlab.sweeps.pool import launch

        return launch(
            self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx, **self.settings
        )
