"""The data of a stack whose fits do not all see the same batches: at once, for each fit a batch of its own."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from kdlab.data.fetching import BATCHES_PER_INFERENCE, ORDER_BYTES, loader, samples_per_fetch
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Batch, Samples

# Training sets that are to be joined have at most so many bytes each.
JOINED_BYTES = 16 * 2**20
# A class of data that overrides one of these makes its batches in its own way.
BATCH_HOOKS = (
    "train_dataloader",
    "val_dataloader",
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)


def in_common(view: ClassificationData) -> dict[str, Any]:
    """Return what fits must have in common to be trained at once: all of `identity` except samples and split.

    They must have the same number of training samples. Fits that are augmented, or whose class of data makes batches in
    its own way (`BATCH_HOOKS`), must also share samples, split and order; fits on large data sets (`JOINED_BYTES`) must
    share the samples.
    """
    identity = view.identity()
    own_way = any(getattr(type(view), name) is not getattr(ClassificationData, name) for name in BATCH_HOOKS)
    if own_way or not isinstance(view.augment, nn.Identity):
        return identity | {"order_seed": view.order_seed}
    inputs = view.train.inputs
    free = {"split_seed"} | ({"checksum", "scaled"} if inputs.nbytes <= JOINED_BYTES else set())
    common = {key: value for key, value in identity.items() if key not in free}
    return common | {"stored": (inputs.dtype, tuple(inputs.shape)), "samples": len(view.train_ids)}


def own_bytes(view: ClassificationData) -> int:
    """Return the bytes of an order and samples of a fit's own in a stack; 0 for samples that it must share."""
    inputs = view.train.inputs.nbytes
    order = ORDER_BYTES * len(view.train_ids) * view.passes_per_epoch
    return order + (inputs if inputs <= JOINED_BYTES else 0)


def of_stack(views: Sequence[ClassificationData]) -> "ClassificationData | OwnBatches":
    """Return what several fits at once are trained on, given each one's view of the data (see `in_common`)."""
    return copy.copy(views[0]) if len(set(map(_stream, views))) == 1 else OwnBatches(views)


def _stream(view: ClassificationData) -> tuple[int, str]:
    """Return what tells a fit's batches from those of fits that have the rest in common."""
    return view.order_seed, view.split_key("train") + view.scaled_key


class OwnBatches(LightningDataModule):
    """Batches (S, B, …) for S fits, each of its own samples, or of the same ones, in its own order.

    What several of the fits see alike is fetched and scaled once. They validate on the same batches (B, …) where all
    share one split.

    Args:
        views: one for each fit, equal in `in_common`. The fits are trained on a single device.
    """

    def __init__(self, views: Sequence[ClassificationData]) -> None:
        super().__init__()
        first, streams = views[0], {_stream(view): view for view in views}
        self.held_out, self.order_seed, self.val_ids = first.held_out, first.order_seed, first.val_ids
        self.steps_per_epoch = first.steps_per_epoch
        self.views = list(streams.values())
        self.view_of_fit = torch.tensor([list(streams).index(_stream(view)) for view in views])
        self._one_split = len({split for _, split in streams}) == 1
        self._samples, self._starts = _joined(self.views)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return each view's training samples in its order."""
        view = self.views[0]
        subset = self._subset([view.train_ids.repeat(view.passes_per_epoch) for view in self.views])
        orders: list[DistributedSampler[Batch]] = [
            DistributedSampler(subset, num_replicas=1, rank=0, seed=view.order_seed) for view in self.views
        ]
        return loader(subset, view.batch_size * max(1, self._samples_per_fetch // view.batch_size), _Orders(orders))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation samples of all classes in a fixed order."""
        view = self.views[0]
        if self._one_split:
            return view.val_dataloader()
        size = min(BATCHES_PER_INFERENCE * view.batch_size, self._samples_per_fetch)
        return loader(self._subset([view.ids_of("val") for view in self.views]), size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch | list[Batch]:
        """Scale the fetched samples on the device, as each view does; in training, cut them into batches."""
        if batch.ids.ndim == 1:
            return batch._replace(inputs=self.views[0].scale(batch.inputs))
        scaled = [view.scale(inputs) for view, inputs in zip(self.views, batch.inputs, strict=True)]
        of_fits = batch._replace(inputs=torch.stack(scaled))
        if len(self.views) < len(self.view_of_fit):
            of_fits = Batch(*(part[self.view_of_fit.to(part.device)] for part in of_fits))
        return of_fits.cut(self.views[0].batch_size) if self.trainer and self.trainer.training else of_fits

    def _subset(self, ids: Sequence[Tensor]) -> "_OwnSubset":
        return _OwnSubset(self._samples, torch.stack(list(ids)), self._starts)

    @property
    def _samples_per_fetch(self) -> int:
        return samples_per_fetch(len(self.view_of_fit) * math.prod(self.views[0].input_shape))


class _OwnSubset(Dataset[Batch]):
    """Of several views the samples with the ids (V, n), counted from each view's first sample, `starts` (V, 1)."""

    def __init__(self, samples: Samples, ids: Tensor, starts: Tensor) -> None:
        self.samples = samples
        self.own_ids = ids
        self.starts = starts

    def __len__(self) -> int:
        return self.own_ids.shape[1]

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int | tuple[int, ...]]) -> Batch:
        where = torch.tensor(positions).t()  # (B,), or (V, B) for the positions of several orders
        ids = self.own_ids.gather(1, where.expand(len(self.own_ids), -1))
        inputs, labels = (part.index_select(0, (ids + self.starts).flatten()) for part in self.samples)
        return Batch(inputs.unflatten(0, ids.shape), labels.view_as(ids), ids)


class _Orders(Sampler[tuple[int, ...]]):
    """Several orders of equally many samples at once: the i-th item is the i-th position of each."""

    def __init__(self, orders: Sequence[DistributedSampler[Batch]]) -> None:
        self.orders = orders

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of each order."""
        for order in self.orders:
            order.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return zip(*self.orders, strict=True)

    def __len__(self) -> int:
        return len(self.orders[0])


def _joined(views: Sequence[ClassificationData]) -> tuple[Samples, Tensor]:
    """Return the distinct training sets as one, and the place there of each view's first sample, (V, 1)."""
    sets = {view.split_key("official"): view.train for view in views}
    starts, start = {}, 0
    for key, samples in sets.items():
        starts[key] = start
        start += len(samples.labels)
    joined = views[0].train
    if len(sets) > 1:
        joined = Samples(*(torch.cat(parts) for parts in zip(*sets.values(), strict=True)))
    return joined, torch.tensor([[starts[view.split_key("official")]] for view in views])
