"""The data of a stack whose fits do not see the same batches: at once, for each fit a batch of its own."""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from kdlab.data.module import BATCHES_PER_INFERENCE, ClassificationData, loader, samples_per_fetch
from kdlab.data.samples import Batch, Samples


def alike(view: ClassificationData) -> dict[str, Any]:
    """Return what fits must share to be trained at once: all of `identity`, but the samples may be others, as many.

    They must be the same samples where inputs are augmented, or are scaled in a way that `scaling` does not tell.
    """
    identity, scaling = view.identity(), view.scaling()
    if scaling is None or not isinstance(view.augment, nn.Identity):
        return identity
    own = {key: value for key, value in identity.items() if key not in ("checksum", "split_seed")}
    return own | {"scaling": scaling, "stored": view.train.inputs.dtype, "shape": tuple(view.train.inputs.shape),
                  "samples": len(view.train_ids)}  # fmt: skip


def of_stack(views: Sequence[ClassificationData]) -> "ClassificationData | OwnBatches":
    """Return what several fits at once are trained on, given the view of each, which are alike (see `alike`)."""
    if len({(view.order_seed, view.split_key("train")) for view in views}) == 1:
        return copy.copy(views[0])
    return OwnBatches(views)


class OwnBatches(LightningDataModule):
    """For each of S fits its own samples, or the same ones, in its own order: batches (S, B, …).

    The fits validate on the same batches (B, …) where they share one split.

    Args:
        views: of the data, one for each fit, on one device; without augmentation, alike (see `alike`).
    """

    def __init__(self, views: Sequence[ClassificationData]) -> None:
        super().__init__()
        self.views, first = views, views[0]
        self.held_out, self.order_seed, self.val_ids = first.held_out, first.order_seed, first.val_ids
        self.steps_per_epoch = first.steps_per_epoch
        self._one_split = len({view.split_key("train") for view in views}) == 1
        self._samples, self._starts = _joined(views)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return each fit's training samples in the order that it would have alone."""
        view = self.views[0]
        subset = self._subset([view.train_ids.repeat(view.passes_per_epoch) for view in self.views])
        orders: list[Any] = [
            DistributedSampler(subset, num_replicas=1, rank=0, seed=view.order_seed) for view in self.views
        ]
        fetched = view.batch_size * max(1, self._samples_per_fetch // view.batch_size)
        return loader(subset, fetched, _Orders(orders))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation samples of all classes in a fixed order."""
        view = self.views[0]
        if self._one_split:
            return view.val_dataloader()
        size = min(BATCHES_PER_INFERENCE * view.batch_size, self._samples_per_fetch)
        return loader(self._subset([view.ids("val") for view in self.views]), size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch | list[Batch]:
        """Scale the fetched samples on the device; in training, cut them into batches."""
        view = self.views[0]
        scaled = batch._replace(inputs=view.scale(batch.inputs))
        return scaled.cut(view.batch_size) if self.trainer and self.trainer.training else scaled

    def _subset(self, ids: Sequence[Tensor]) -> "_OwnSubset":
        return _OwnSubset(self._samples, torch.stack(list(ids)), self._starts)

    @property
    def _samples_per_fetch(self) -> int:
        return samples_per_fetch(len(self.views) * math.prod(self.views[0].input_shape))


class _OwnSubset(Dataset[Batch]):
    """The samples of several fits: those with the ids (S, n), counted from each fit's first sample, `starts` (S, 1)."""

    def __init__(self, samples: Samples, ids: Tensor, starts: Tensor) -> None:
        self.samples = samples
        self.own_ids = ids
        self.starts = starts

    def __len__(self) -> int:
        return self.own_ids.shape[1]

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int | tuple[int, ...]]) -> Batch:
        where = torch.tensor(positions).t()  # (B,), or (S, B) for the positions of several orders
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
    """Return the distinct training sets as one, and the place there of each view's first sample, (S, 1)."""
    sets = {view.split_key("official"): view.train for view in views}
    starts = dict(zip(sets, accumulate((len(it.labels) for it in sets.values()), initial=0), strict=False))
    samples = views[0].train
    if len(sets) > 1:
        samples = Samples(*(torch.cat(parts) for parts in zip(*sets.values(), strict=True)))
    return samples, torch.tensor([[starts[view.split_key("official")]] for view in views])
