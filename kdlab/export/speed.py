"""How fast and how large a network is: latency by batch size, size on disk, floating-point operations."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

BATCHES = (1, 32)
WARM_UP, LEAST_REPEATS, SECONDS = 5, 30, 0.5
PERCENTILE = 0.95


class Latency(NamedTuple):
    """Milliseconds for one batch: the median and the 95th percentile."""

    median: float
    p95: float


class Speed(NamedTuple):
    """A network in one runtime: its bytes on disk, and its latency by batch size."""

    name: str
    runtime: str
    bytes: int
    latency: dict[int, Latency]


def speed(name: str, runtime: str, path: Path, answer: Callable[[Tensor], Any], raw: Tensor) -> Speed:
    """Time a network on the CPU, with as many threads as torch uses."""
    repeated = raw.repeat(1 + max(BATCHES) // len(raw), *(1 for _ in raw.shape[1:]))
    return Speed(
        name, runtime, path.stat().st_size, {size: _latency(answer, repeated[:size].contiguous()) for size in BATCHES}
    )


@torch.no_grad()
def _latency(answer: Callable[[Tensor], Any], batch: Tensor) -> Latency:
    for _ in range(WARM_UP):
        answer(batch)
    taken: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(taken) < LEAST_REPEATS or time.perf_counter() < until:
        start = time.perf_counter()
        answer(batch)
        taken.append(1000 * (time.perf_counter() - start))
    return Latency(statistics.median(taken), sorted(taken)[int(PERCENTILE * len(taken))])


@torch.no_grad()
def flops(net: nn.Module, sample: Tensor) -> int:
    """Return the floating-point operations of a forward pass; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        net(sample)
    return counter.get_total_flops()
