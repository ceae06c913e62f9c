"""What a network costs to keep and to run: rows with the split `cost`."""

import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn

from kdlab.data import ClassificationData
from kdlab.fits.trained import Trained
from kdlab.results import Row

WARM_UP, REPEATS = 20, 200


def cost_rows(fits: Mapping[str, Trained], checkpoints: Path, data: ClassificationData) -> Iterator[Row]:
    """Yield for each network its `parameters`, the `bytes` of its checkpoint, and `latency_ms`.

    The latency is the median time of a forward pass for one sample on the CPU, in milliseconds, with as many threads as
    the run has. It differs from run to run.
    """
    sample = data.scale(data.test.inputs[:1])
    for arm, fit in fits.items():
        yield Row(arm, "cost", "all", "none", "parameters", fit.record.parameters, 1)
        yield Row(arm, "cost", "all", "none", "bytes", (checkpoints / f"{arm}.pt").stat().st_size, 1)
        yield Row(arm, "cost", "all", "none", "latency_ms", _latency_ms(fit.net, sample), REPEATS)


@torch.no_grad()
def _latency_ms(net: nn.Module, sample: torch.Tensor) -> float:
    net.cpu().eval()
    seconds = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        net(sample)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[WARM_UP:])
