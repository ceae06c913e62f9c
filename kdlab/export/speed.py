"""How fast and how large an exported network is, in one runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from kdlab.measure.cost import BATCH, Latency, latency

BATCHES = (1, BATCH)


class Speed(NamedTuple):
    """A network in one runtime: its operations for a sample, its bytes on disk, its latency by batch size."""

    name: str
    runtime: str
    flops: int
    bytes: int
    latency: dict[int, Latency]


def speed(name: str, runtime: str, operations: int, path: Path, answer: Callable[[Tensor], Any], raw: Tensor) -> Speed:
    """Time a network on the CPU, with as many threads as torch uses."""
    repeated = raw.repeat(1 + BATCH // len(raw), *(1 for _ in raw.shape[1:]))
    times = {size: latency(answer, repeated[:size].contiguous()) for size in BATCHES}
    return Speed(name, runtime, operations, path.stat().st_size, times)
