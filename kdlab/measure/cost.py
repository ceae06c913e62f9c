"""What a network costs to keep and to run: its rows with the split `cost`, latencies, floating-point operations."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdlab.data import ClassificationData
from kdlab.fits.trained import Trained
from kdlab.models.logits_table import LogitsTable
from kdlab.results import Row

WARM_UP, LEAST_REPEATS, SECONDS = 5, 50, 0.3
PERCENTILE = 0.95
# Samples in a batch whose latency is told beside that of one.
BATCH = 32


class Latency(NamedTuple):
    """Milliseconds for one batch, over `repeats` passes: the median and the 95th percentile."""

    median: float
    p95: float
    repeats: int


def cost_rows(fits: Mapping[str, Trained], checkpoints: Path, data: ClassificationData) -> Iterator[Row]:
    """Yield what each network costs; a table of logits is none.

    `parameters`; the `bytes` of its checkpoint; `flops`, floating-point operations for one sample; `latency_ms`, the
    median time of a forward pass for one sample on the CPU, in milliseconds, with as many threads as the run has;
    `latency_ms_p95`, the 95th percentile; `latency_ms_32`, the median for 32 samples. Latencies differ from run to run.
    """
    samples = data.scale(data.test.inputs[:BATCH])
    for arm, fit in fits.items():
        if isinstance(fit.net, LogitsTable):
            continue
        net = fit.net.cpu().eval()
        one, many = latency(net, samples[:1]), latency(net, samples)
        size = (checkpoints / f"{arm}.pt").stat().st_size
        for metric, value, n in (
            ("parameters", fit.record.parameters, 1), ("bytes", size, 1), ("flops", flops(net, samples[:1]), 1),
            ("latency_ms", one.median, one.repeats), ("latency_ms_p95", one.p95, one.repeats),
            ("latency_ms_32", many.median, many.repeats),
        ):  # fmt: skip
            yield Row(arm, "cost", "all", "none", metric, value, n)


@torch.no_grad()
def latency(answer: Callable[[Tensor], Any], batch: Tensor) -> Latency:
    """Time a function of a batch."""
    for _ in range(WARM_UP):
        answer(batch)
    taken: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(taken) < LEAST_REPEATS or time.perf_counter() < until:
        start = time.perf_counter()
        answer(batch)
        taken.append(1000 * (time.perf_counter() - start))
    return Latency(statistics.median(taken), sorted(taken)[int(PERCENTILE * len(taken))], len(taken))


@torch.no_grad()
def flops(net: nn.Module, samples: Tensor) -> int:
    """Return the floating-point operations of a forward pass; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        net(samples)
    return counter.get_total_flops()
