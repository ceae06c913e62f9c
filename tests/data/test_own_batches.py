"""The data of a stack: each fit gets the batches that it would get alone."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from kdlab.data import Batch, BlobsData, ClassificationData, Jitter, own_batches
from kdlab.data.own_batches import BATCH_HOOKS, OwnBatches, in_common, of_stack


def blobs(seed: int = 0, *, order: int = 0, **settings: Any) -> ClassificationData:
    data = BlobsData(**({"train_samples": 200, "test_samples": 50, "batch_size": 16, "sample_seed": seed} | settings))
    data.setup()
    return data.for_fit(held_out=[], augment=nn.Identity(), order_seed=order)


def images(data: ClassificationData, *, order: int = 0, augment: nn.Module | None = None) -> ClassificationData:
    return data.for_fit(held_out=data.held_out, augment=augment or nn.Identity(), order_seed=order)


def joined(data: Any, batches: Iterable[Batch]) -> Batch:
    """Return batches, as a network sees them, as one."""
    seen = [data.on_after_batch_transfer(batch, 0) for batch in batches]
    return Batch(*(torch.cat(parts, dim=seen[0].ids.ndim - 1) for parts in zip(*seen, strict=True)))


def epoch_of(data: Any, epoch: int) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return joined(data, loader)


def validation_of(data: Any) -> Batch:
    return joined(data, data.val_dataloader())


@pytest.mark.parametrize("passes", [1, 3])
def test_each_fit_gets_the_samples_that_it_gets_alone_in_the_same_order(passes):
    views = [
        blobs(seed, order=order, passes_per_epoch=passes) for seed, order in ((0, 5), (1, 5), (0, 6), (0, 5), (2, 7))
    ]
    data = of_stack(views)
    assert len(data.views) == 4  # two of the five see the same, which is fetched once
    for epoch in (0, 1):
        together = epoch_of(data, epoch)
        for index, view in enumerate(views):
            alone = epoch_of(view, epoch)
            assert all(torch.equal(part[index], own) for part, own in zip(together, alone, strict=True))


def test_validation_samples_are_each_fits_own_only_where_they_are_not_shared():
    views = [blobs(0), blobs(1), blobs(0, split_seed=1)]
    together = validation_of(of_stack(views))
    for index, view in enumerate(views):
        alone = validation_of(view)
        assert all(torch.equal(part[index], own) for part, own in zip(together, alone, strict=True))
    shared = validation_of(of_stack([blobs(order=1), blobs(order=2)]))
    assert torch.equal(shared.inputs, validation_of(blobs()).inputs)


def test_fits_of_the_same_samples_in_the_same_order_share_their_batches(stripes):
    assert not isinstance(of_stack([images(stripes)] * 2), OwnBatches)
    assert isinstance(of_stack([images(stripes), images(stripes, order=1)]), OwnBatches)


def test_another_sample_or_split_is_alike_and_another_number_shape_or_distribution_is_not():
    assert in_common(blobs(0)) == in_common(blobs(1)) == in_common(blobs(0, split_seed=3))
    others: list[dict[str, Any]] = [{"train_samples": 300}, {"dimension": 3}, {"variance": 2.0}, {"batch_size": 8}]
    assert all(in_common(blobs(0)) != in_common(blobs(0, **other)) for other in others)


def in_two_splits(kind: type[ClassificationData]) -> list[ClassificationData]:
    found = [kind(held_out_classes=["south"], split_seed=split_seed, batch_size=32) for split_seed in (0, 1)]
    for data in found:
        data.setup()
    return found


def test_each_fits_inputs_are_scaled_by_its_own_data_and_apart_from_the_others(stripes):
    class Scaled(type(stripes)):  # type: ignore[misc]
        def scale(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.float() - inputs.float().mean(dim=1, keepdim=True) + self.split_seed

    views = [images(data, order=order) for order, data in enumerate(in_two_splits(Scaled))]
    for together, alone in ((epoch_of(of_stack(views), 0), epoch_of), (validation_of(of_stack(views)), validation_of)):
        for index, view in enumerate(views):
            own = alone(view, 0) if alone is epoch_of else alone(view)
            assert torch.equal(together.inputs[index], own.inputs)


def test_classes_that_read_the_same_samples_and_scale_them_otherwise_are_not_alike(stripes):
    class Doubled(type(stripes)):  # type: ignore[misc]
        def scale(self, inputs: torch.Tensor) -> torch.Tensor:
            return 2 * super().scale(inputs)

    plain, doubled = in_two_splits(type(stripes))[0], in_two_splits(Doubled)[0]
    assert plain.checksum() == doubled.checksum()
    assert in_common(images(plain)) != in_common(images(doubled))


def test_fits_of_the_same_samples_that_are_scaled_by_other_arguments_get_each_its_own(stripes):
    class Times(type(stripes)):  # type: ignore[misc]
        def scale(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.factor * super().scale(inputs)

    views = [images(in_two_splits(Times)[0]) for _ in range(2)]
    for view, factor in zip(views, (1, 100), strict=True):
        view.factor = factor
    assert in_common(views[0]) == in_common(views[1])
    for together, alone in ((epoch_of(of_stack(views), 0), epoch_of), (validation_of(of_stack(views)), validation_of)):
        for index, view in enumerate(views):
            own = alone(view, 0) if alone is epoch_of else alone(view)
            assert torch.equal(together.inputs[index], own.inputs)


@pytest.mark.parametrize("hook", BATCH_HOOKS)
def test_fits_whose_data_make_batches_in_a_way_of_their_own_share_samples_and_order(stripes, hook):
    inherited = getattr(type(stripes), hook)
    own = type("Own", (type(stripes),), {hook: lambda self, *given: inherited(self, *given)})
    first, second = in_two_splits(own)
    assert in_common(images(first)) == in_common(images(first))
    assert in_common(images(first)) != in_common(images(second))
    assert in_common(images(first)) != in_common(images(first, order=1))


def test_augmented_samples_and_large_ones_must_be_the_same(stripes, monkeypatch):
    first, second = in_two_splits(type(stripes))
    assert in_common(images(first)) == in_common(images(second)) == in_common(images(first, order=1))
    assert in_common(images(first, augment=Jitter(1))) != in_common(images(second, augment=Jitter(1)))
    assert in_common(images(first, augment=Jitter(1))) != in_common(images(first, augment=Jitter(1), order=1))
    monkeypatch.setattr(own_batches, "JOINED_BYTES", 1000)
    assert in_common(blobs(0)) != in_common(blobs(1))
    assert in_common(blobs(0)) == in_common(blobs(0, split_seed=1))
