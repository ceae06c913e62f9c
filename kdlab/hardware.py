"""The hardware of a run: device, precision, and their description for the results."""

import ctypes
import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from kdlab.limits import ACCELERATORS, DETERMINISTIC, PRECISIONS, choice, integer, is_integer

# Numbers of glibc's `mallopt`, and the bytes that they are set to: how much freed memory a process keeps, and from what
# size on an allocation is mapped by itself (32 MiB is the most).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES, MAPPED_BYTES = 256 * 2**20, 32 * 2**20


class Hardware(NamedTuple):
    """A device, a precision, a number of devices, and whether to use deterministic algorithms alone.

    `precision` is Lightning's name: `32-true`, or `bf16-mixed` for bfloat16 autocast. A fit is spread over `devices`
    devices of this kind; everything else uses `device` alone. `deterministic` is True, False or `warn`, as Lightning
    takes it; it matters on GPUs.
    """

    device: torch.device
    precision: str
    devices: int = 1
    deterministic: bool | Literal["warn"] = True

    @property
    def accelerator(self) -> str:
        """Lightning's name for the kind of device."""
        return "gpu" if self.device.type == "cuda" else "cpu"


def choose(
    accelerator: str, precision: str, devices: int = 1, deterministic: bool | Literal["warn"] = True
) -> Hardware:
    """Resolve `auto`: a GPU if there is one; bfloat16 if the hardware multiplies it fast, else float32.

    Switches off TF32, whose convolutions and products keep 10 bits where `32-true` promises 23. Lets the process keep
    memory that a step of training frees.

    Raises:
        ValueError: one line for each choice that does not exist, or that this machine does not have.
    """
    problems = [*choice("accelerator", accelerator, ACCELERATORS), *choice("precision", precision, PRECISIONS)]
    if accelerator == "gpu" and not torch.cuda.is_available():
        problems.append("accelerator=gpu: this machine has no usable GPU; take trainer=auto or trainer=cpu")
    problems += choice("deterministic", deterministic, DETERMINISTIC)
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if not is_integer(devices):
        problems += integer("devices", devices)
    elif on_gpu and devices > torch.cuda.device_count():
        problems.append(f"devices={devices}: this machine shows {torch.cuda.device_count()} GPUs")
    if problems:
        raise ValueError("\n".join(problems))
    _keep_freed_memory()
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if on_gpu:  # for teacher logits too, not only in a fit
        # Makes cuBLAS deterministic; it reads this once, before its first use.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(bool(deterministic), warn_only=deterministic == "warn")
    if precision == "auto":
        precision = "bf16-mixed" if _multiplies_bf16_fast(device) else "32-true"
    return Hardware(device, precision, devices, deterministic)


@cache
def _keep_freed_memory() -> None:
    """Let the process keep up to 256 MiB of freed memory; only glibc knows how.

    As it is set at first, glibc may give what a step frees back to the system and fetch it anew in the next, page by
    page: for convolutions of 16 to 128 channels on a CPU 13,000 pages a step, a third of the time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(MMAP_THRESHOLD, MAPPED_BYTES)


def _multiplies_bf16_fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def environment(hardware: Hardware) -> dict[str, str | int]:
    """Describe the machine, the part of it in use, and the versions of libraries that affect numbers."""
    on_gpu = hardware.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(hardware.device) if on_gpu else _cpu_name(),
        "accelerator": hardware.accelerator,
        "devices": hardware.devices,
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
        "precision": hardware.precision,
        "deterministic": hardware.deterministic,
        **(_gpu_software() if on_gpu else {}),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "platform": platform.platform(),
        "python": platform.python_version(),
        **_versions(),
    }


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "torchvision", "lightning")}


def _gpu_software() -> dict[str, str | int]:
    """Return the versions of what runs the GPU: CUDA or ROCm, cuDNN, and the driver."""
    driver = Path("/proc/driver/nvidia/version")
    return {
        "cuda": torch.version.cuda or "none",
        "rocm": torch.version.hip or "none",
        "cudnn": torch.backends.cudnn.version() or "none",
        "driver": driver.read_text().splitlines()[0].split(":", 1)[-1].strip() if driver.exists() else "unknown",
    }


@cache
def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
