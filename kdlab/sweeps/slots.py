"""The slots of this machine, in which the jobs of a sweep run side by side."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.errors import ConfigError
from kdlab.limits import integer, is_integer

# What the drivers of NVIDIA, of AMD, and of GPUs under WSL show.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


class Slot(NamedTuple):
    """A place for one job: its number of threads, and its GPU as in CUDA_VISIBLE_DEVICES, or None."""

    threads: int
    gpu: str | None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that keep a job to its threads and its GPU."""
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        return threads if self.gpu is None else threads | {"CUDA_VISIBLE_DEVICES": self.gpu}


def slots_for(jobs: int, gpus: Sequence[str], cores: int, *, slots: Any = "auto", jobs_per_gpu: Any = 1) -> list[Slot]:
    """Return the slots for a number of jobs; the cores are divided among them.

    With GPUs, each has `jobs_per_gpu` slots, and every GPU gets its first slot before any gets its second. Without
    GPUs, each core is a slot. There are at most as many slots as jobs.

    Args:
        jobs: the number of jobs.
        gpus: the GPUs as in CUDA_VISIBLE_DEVICES; empty for none.
        cores: the number of CPU cores.
        slots: the largest number of slots; `auto` for no limit but that of the machine.
        jobs_per_gpu: the number of jobs that share a GPU.

    Raises:
        ConfigError: when `slots` or `jobs_per_gpu` is not an integer above 0, or when the GPUs have fewer slots.
    """
    problems = integer("hydra.launcher.jobs_per_gpu", jobs_per_gpu)
    if slots != "auto" and not is_integer(slots):
        problems.insert(0, f"hydra.launcher.slots={slots}: must be auto or an integer of at least 1")
    if problems:
        raise ConfigError(problems)
    room = len(gpus) * jobs_per_gpu if gpus else cores
    if gpus and slots != "auto" and slots > room:
        raise ConfigError(
            [f"hydra.launcher.slots={slots}: {len(gpus)} GPUs with hydra.launcher.jobs_per_gpu={jobs_per_gpu} have "
             f"{room} slots; raise jobs_per_gpu, or leave slots=auto"]
        )  # fmt: skip
    count = max(1, min(jobs, room if slots == "auto" else slots))
    threads = max(1, cores // count)
    return [Slot(threads, gpus[i % len(gpus)] if gpus else None) for i in range(count)]


def cores() -> int:
    """Return the number of cores that this process may use, at most OMP_NUM_THREADS if that is set."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(available, int(allowed)) if allowed.isdecimal() and int(allowed) else available


def visible_gpus() -> list[str]:
    """Return the usable GPUs as in CUDA_VISIBLE_DEVICES, without starting CUDA in this process."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu and gpu != "-1"]
    # Asking torch takes as long as importing it, so only a machine with a GPU's driver is asked. Slim containers and
    # ROCm have no nvidia-smi.
    if shutil.which("nvidia-smi") is None and not any(Path(device).exists() for device in GPU_DEVICES):
        return []
    counted = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, check=True)
    return [str(i) for i in range(int(counted.stdout))]
