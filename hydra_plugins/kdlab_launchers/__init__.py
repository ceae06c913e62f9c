"""Registers `hydra/launcher=pool` and `hydra/sweeper=points` with Hydra, which imports this at every start."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class PointSweeper(BasicSweeper):
    """Hydra's own sweeper, which composes all points in advance; this one leaves them to the jobs, side by side."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose the first point: a wrong key is wrong in all. A wrong choice fails at its own points."""
        super().validate_batch_is_legal(batch[:1])


class PoolLauncher(Launcher):
    """Runs a sweep's jobs side by side on this machine, each in its own slot; see `kdlab.sweeps.pool`.

    Args:
        slots: the number of jobs at once; `auto` for `jobs_per_gpu` on each GPU, or without GPUs one on each core.
        jobs_per_gpu: the number of jobs that share a GPU.
        gpus: the GPUs to use, as in CUDA_VISIBLE_DEVICES; `auto` for all.
    """

    def __init__(self, slots: Any, jobs_per_gpu: Any, gpus: Any) -> None:
        self.settings = {"slots": slots, "jobs_per_gpu": jobs_per_gpu, "gpus": gpus}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's description of the sweep."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs."""
        from kdlab.sweeps.pool import launch

        return launch(
            self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx, **self.settings
        )
