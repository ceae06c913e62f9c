"""Held-out classes and the split into training and validation part."""

import pytest
import torch

from kdlab.data.held_out import class_indices, split_ids, without_classes

NAMES = ("cat", "dog", "eel", "fox")
LABELS = torch.arange(4).repeat_interleave(torch.tensor([40, 60, 100, 200]))


def test_classes_are_given_by_index_or_name():
    assert class_indices(["eel", 0, "cat"], NAMES) == [0, 2]


@pytest.mark.parametrize("wrong", [4, -1, "ant", 1.0, True, None])
def test_a_class_that_does_not_exist_is_named_with_those_that_do(wrong):
    with pytest.raises(ValueError, match=r"no such class; there are the indices 0 to 3, named cat, dog, eel, fox"):
        class_indices([wrong], NAMES)


def test_all_unknown_classes_are_reported_at_once():
    with pytest.raises(ValueError, match=r"held_out_classes=9(.|\n)*held_out_classes='ant'"):
        class_indices([9, "ant"], NAMES)


def test_holding_out_every_class_is_refused():
    with pytest.raises(ValueError, match="all classes are held out"):
        class_indices([0, 1, 2, 3], NAMES)


def test_a_bare_class_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"held_out_classes=3: must be a list, such as \[3\]"):
        class_indices(3, NAMES)


@pytest.mark.parametrize("val_size", [0.1, 40])
def test_parts_are_disjoint_complete_and_stratified(val_size):
    train, val = split_ids(LABELS, val_size, seed=0)
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(400))
    assert torch.bincount(LABELS[val]).tolist() == [4, 6, 10, 20]


def test_split_is_a_function_of_the_seed():
    first, again, other = (split_ids(LABELS, 0.1, seed=s)[1] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_split_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    split_ids(LABELS, 0.1, seed=5)
    assert torch.equal(before, torch.get_rng_state())


def test_val_size_zero_keeps_all_for_training():
    train, val = split_ids(LABELS, 0, seed=0)
    assert len(train) == 400
    assert len(val) == 0


@pytest.mark.parametrize("val_size", [2, 400, 1000])
def test_an_impossible_split_names_size_and_samples(val_size):
    with pytest.raises(
        ValueError, match=rf"val_size={val_size}: {val_size} of 400 samples; .* at least 4 samples, one for each class"
    ):
        split_ids(LABELS, val_size, seed=0)


def test_a_class_with_a_single_sample_is_named():
    labels = torch.tensor([0, 0, 1, 2, 2, 2, 2, 2, 2])
    with pytest.raises(ValueError, match=r"val_size=0\.4: a single sample cannot be in both parts, .* one of dog$"):
        split_ids(labels, 0.4, seed=0, names=NAMES)


def test_no_held_out_label_remains():
    ids = without_classes(torch.arange(400), LABELS, [1, 3])
    assert set(LABELS[ids].tolist()) == {0, 2}
    assert len(ids) == 140
