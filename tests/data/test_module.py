"""A fit's view of the data: its classes, its order, its inputs."""

import torch
from torch import nn

from kdlab.data import ClassificationData, DigitsData, Jitter
from kdlab.hashing import derive


def epoch_of(data: ClassificationData, epoch: int = 0) -> torch.Tensor:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return torch.cat([batch.ids for batch in loader])


def view(data: ClassificationData, *, held_out: list[int] | None = None, order_seed: int = 0) -> ClassificationData:
    held_out = data.held_out if held_out is None else held_out
    return data.for_fit(held_out=held_out, augment=nn.Identity(), order_seed=order_seed)


def test_no_held_out_label_in_the_transfer_set_or_its_validation_and_the_test_set_keeps_them(stripes):
    assert 3 not in torch.cat([batch.labels for batch in stripes.train_dataloader()])
    assert 3 not in stripes.train.labels[stripes.val_ids]
    assert 3 in stripes.test.labels


def test_the_teachers_view_holds_all_classes_of_the_same_split(stripes):
    teacher = view(stripes, held_out=[])
    assert set(stripes.train_ids.tolist()) < set(teacher.train_ids.tolist())
    assert set(stripes.val_ids.tolist()) < set(teacher.val_ids.tolist())
    assert not set(teacher.train_ids.tolist()) & set(teacher.val_ids.tolist())
    assert len(teacher.train_ids) + len(teacher.val_ids) == len(stripes.train.labels)


def test_an_epoch_visits_every_sample_once_in_an_order_of_seed_and_epoch(stripes):
    first = epoch_of(stripes)
    assert torch.equal(first.sort().values, stripes.train_ids)
    assert torch.equal(first, epoch_of(view(stripes)))
    assert not torch.equal(first, epoch_of(stripes, epoch=1))
    assert not torch.equal(first, epoch_of(view(stripes, order_seed=1)))


def test_a_batch_holds_the_samples_with_its_ids(stripes):
    for batch in stripes.train_dataloader():
        assert torch.equal(batch.inputs, stripes.train.inputs[batch.ids])
        assert torch.equal(batch.labels, stripes.train.labels[batch.ids])


def test_unlabelled_inputs_are_of_all_classes_and_from_no_test_set(stripes):
    assert stripes.unlabelled_split == "val"
    assert torch.equal(stripes.split("val").inputs, stripes.train.inputs[view(stripes, held_out=[]).val_ids])


def test_without_validation_the_unlabelled_inputs_are_the_training_images():
    data = DigitsData(val_size=0, held_out_classes=[3])
    data.setup()
    assert data.unlabelled_split == "train"
    assert len(data.val_dataloader()) == 0
    assert data.split("train").inputs is data.train.inputs  # which may be mapped from disk, and larger than memory


def test_digits_are_the_1797_images_in_a_fixed_split():
    data = DigitsData(val_size=0.1)
    data.setup()
    assert data.train.inputs.shape == (1347, 1, 28, 28)
    assert data.test.inputs.shape == (450, 1, 28, 28)
    assert data.train.inputs.dtype == torch.uint8
    assert data.train.inputs.max() == 255
    assert torch.bincount(data.test.labels).min() >= 43
    again = DigitsData(val_size=0.2, split_seed=5)
    again.setup()
    assert torch.equal(data.test.inputs, again.test.inputs)


def test_a_fit_may_have_a_batch_size_of_its_own(stripes):
    size = stripes.batch_size
    own = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=0, batch_size=7)
    assert own.steps_per_epoch == -(-len(own.train_ids) // 7)
    assert (stripes.batch_size, view(stripes).batch_size) == (size, size)


def test_batches_are_cut_from_the_fetched_samples_without_loss_or_change(stripes):
    (fetched,) = stripes.train_dataloader()
    batches = fetched.cut(stripes.batch_size)
    assert [len(batch.labels) for batch in batches] == [32] * 8 + [14]
    assert len(batches) == stripes.steps_per_epoch
    for part in range(3):
        assert torch.equal(torch.cat([batch[part] for batch in batches]), fetched[part])


def test_views_share_the_tensors(stripes):
    other = stripes.for_fit(held_out=[], augment=Jitter(1), order_seed=3)
    assert other.train.inputs is stripes.train.inputs
    assert isinstance(stripes.augment, nn.Identity)


def test_random_streams_are_independent_and_reproducible():
    streams = {derive(seed, purpose, i) for seed in range(3) for purpose in ("order", "weights") for i in range(3)}
    assert len(streams) == 18
    assert derive(0, "order") == derive(0, "order")


def test_large_images_are_fetched_and_forwarded_within_a_budget_of_bytes(stripes):
    stripes.batch_size = 64
    stripes.input_shape = (3, 224, 224)
    images = 64 * 2**20 // (3 * 224 * 224 * 4)
    assert stripes.inference_size == images
    assert stripes.train_dataloader().batch_size == 64
    assert stripes.val_dataloader().batch_size == images
    stripes.batch_size = 512
    assert stripes.train_dataloader().batch_size == 512  # a step's own samples cannot be fewer
    stripes.input_shape = (1, 28, 28)
    assert stripes.train_dataloader().batch_size == 2048
