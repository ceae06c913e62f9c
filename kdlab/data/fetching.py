"""How many samples are fetched at once, in which order, and what that takes of memory."""

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from kdlab.data.samples import Batch, as_fetched
from kdlab.limits import memory

# Several batches are fetched at once: fetching a batch costs as much as a step of a small network. So many samples at
# most, and no more than take these bytes as networks see them.
SAMPLES_PER_FETCH = 2048
BYTES_PER_FETCH = 64 * 2**20
# A forward pass without gradients, which keeps no activations, may have so many times the samples of a training batch.
BATCHES_PER_INFERENCE = 4
# What the order of an epoch holds for each sample, as tensors and as a list.
ORDER_BYTES = 60


def order_problems(passes: int, samples: int) -> list[str]:
    """Return what is wrong with a number of passes whose order does not fit into memory."""
    return memory("passes_per_epoch", passes, ORDER_BYTES * samples * passes, "the order of an epoch")


def samples_per_fetch(numbers_per_sample: int) -> int:
    """Return how many samples are fetched at once."""
    return max(1, min(SAMPLES_PER_FETCH, BYTES_PER_FETCH // (4 * numbers_per_sample)))


def loader(subset: Dataset[Batch], fetched: int, order: Sampler[Any] | None = None) -> DataLoader[Batch]:
    """Return a loader that fetches so many samples at once, in the order of a sampler, or as they are stored."""
    # An iterator draws a seed when it is made, which a resumed fit does at other moments. A separate generator keeps
    # all other random numbers the same.
    return DataLoader(subset, batch_size=fetched, sampler=order, collate_fn=as_fetched, generator=torch.Generator())
