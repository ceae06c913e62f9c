"""The data of a stack: each fit gets the batches that it would get alone."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from kdlab.data import Batch, BlobsData, ClassificationData, Jitter
from kdlab.data.own_batches import OwnBatches, alike, of_stack


def blobs(seed: int = 0, *, order: int = 0, **settings: Any) -> ClassificationData:
    data = BlobsData(**({"train_samples": 200, "test_samples": 50, "batch_size": 16, "sample_seed": seed} | settings))
    data.setup()
    return data.for_fit(held_out=[], augment=nn.Identity(), order_seed=order)


def images(data: ClassificationData, *, order: int = 0, augment: nn.Module | None = None) -> ClassificationData:
    return data.for_fit(held_out=data.held_out, augment=augment or nn.Identity(), order_seed=order)


def joined(batches: Sequence[Batch]) -> Batch:
    return Batch(*(torch.cat(parts, dim=batches[0].ids.ndim - 1) for parts in zip(*batches, strict=True)))


def epoch_of(data: Any, epoch: int) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return joined(list(loader))


@pytest.mark.parametrize("passes", [1, 3])
def test_each_fit_gets_the_samples_that_it_gets_alone_in_the_same_order(passes):
    views = [blobs(seed, order=order, passes_per_epoch=passes) for seed, order in ((0, 5), (1, 5), (0, 6), (2, 7))]
    for epoch in (0, 1):
        together = epoch_of(of_stack(views), epoch)
        for index, view in enumerate(views):
            alone = epoch_of(view, epoch)
            assert all(torch.equal(part[index], own) for part, own in zip(together, alone, strict=True))


def test_validation_samples_are_each_fits_own_only_where_they_are_not_shared():
    views = [blobs(0), blobs(1), blobs(0, split_seed=1)]
    together = joined(list(of_stack(views).val_dataloader()))
    for index, view in enumerate(views):
        alone = joined(list(view.val_dataloader()))
        assert all(torch.equal(part[index], own) for part, own in zip(together, alone, strict=True))
    shared = joined(list(of_stack([blobs(order=1), blobs(order=2)]).val_dataloader()))
    assert torch.equal(shared.inputs, joined(list(blobs().val_dataloader())).inputs)


def test_fits_of_the_same_samples_in_the_same_order_share_their_batches(stripes):
    assert not isinstance(of_stack([images(stripes)] * 2), OwnBatches)
    assert isinstance(of_stack([images(stripes), images(stripes, order=1)]), OwnBatches)


def test_another_sample_or_split_is_alike_and_another_number_shape_or_distribution_is_not():
    assert alike(blobs(0)) == alike(blobs(1)) == alike(blobs(0, split_seed=3))
    others: list[dict[str, Any]] = [{"train_samples": 300}, {"dimension": 3}, {"variance": 2.0}, {"batch_size": 8}]
    assert all(alike(blobs(0)) != alike(blobs(0, **other)) for other in others)


def test_augmented_samples_and_those_scaled_in_a_way_of_their_own_must_be_the_same(stripes):
    class Scaled(type(stripes)):  # type: ignore[misc]
        def scale(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.float() / self.train.inputs.max()

    def others(kind: type[ClassificationData]) -> list[ClassificationData]:
        found = []
        for split_seed in (0, 1):
            found.append(kind(held_out_classes=["south"], split_seed=split_seed))
            found[-1].setup()
        return found

    first, second = others(type(stripes))
    assert alike(images(first)) == alike(images(second))
    assert alike(images(first, augment=Jitter(1))) != alike(images(second, augment=Jitter(1)))
    first, second = others(Scaled)
    assert alike(images(first)) != alike(images(second))
