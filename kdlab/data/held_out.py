"""Held-out classes, and the stratified split of the official training set into a training and a validation part."""

import math
from collections.abc import Iterable, Sequence

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from kdlab.limits import is_integer

SHOWN = 5


def class_indices(classes: Iterable[int | str] | None, names: Sequence[str]) -> list[int]:
    """Turn class indices and class names into sorted, distinct indices; None means no class.

    Raises:
        ValueError: one line for each class that does not exist, and one if no class is left.
    """
    if classes is None:
        classes = ()
    if isinstance(classes, int | float | str):
        raise ValueError(f"held_out_classes={classes}: must be a list, such as [{classes}]")
    problems, indices = [], set()
    for item in classes:
        if isinstance(item, str) and item in names:
            indices.add(names.index(item))
        elif isinstance(item, int) and str(item) in names and names.index(str(item)) != item:
            problems.append(
                f"held_out_classes={item}: class {item} has the index {names.index(str(item))}; give '{item}'"
            )
        elif isinstance(item, int) and is_integer(item, least=0) and item < len(names):
            indices.add(item)
        else:
            problems.append(
                f"held_out_classes={item!r}: no such class; there are the indices 0 to {len(names) - 1}, "
                f"named {', '.join(names)}"
            )
    if len(indices) == len(names):
        problems.append(f"held_out_classes={sorted(indices)}: all classes are held out, nothing is left to learn from")
    if problems:
        raise ValueError("\n".join(problems))
    return sorted(indices)


def split_ids(labels: Tensor, val_size: float, seed: int, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """Split the ids 0 … N−1 into (train, val), stratified by label; a function of labels, size and seed alone.

    Args:
        labels: (N,) class indices.
        val_size: a fraction in [0, 1), or a whole number of samples; 0 for no validation part.
        seed: the seed of the split.
        names: of the classes, for messages; None for their indices.

    Raises:
        ValueError: when a part would have fewer samples than there are classes, or a class has a single sample.
    """
    ids = torch.arange(len(labels))
    if val_size == 0:
        return ids, ids[:0]
    classes = len(labels.unique())
    wanted = math.ceil(val_size * len(labels)) if isinstance(val_size, float) else val_size
    if not classes <= wanted <= len(labels) - classes:
        raise ValueError(
            f"val_size={val_size}: {wanted} of {len(labels)} samples; the training and the validation part "
            f"must each have at least {classes} samples, one for each class"
        )
    counts = labels.bincount()
    if alone := (counts == 1).nonzero().flatten().tolist():
        which = ", ".join(names[c] if names else str(c) for c in alone[:SHOWN]) + ", …" * (len(alone) > SHOWN)
        raise ValueError(f"val_size={val_size}: a single sample cannot be in both parts, and there is one of {which}")
    train, val = train_test_split(ids.numpy(), test_size=val_size, random_state=seed, stratify=labels.numpy())
    return torch.from_numpy(train).sort().values, torch.from_numpy(val).sort().values


def without_classes(ids: Tensor, labels: Tensor, held_out: Sequence[int]) -> Tensor:
    """Return those `ids` whose label is not held out."""
    return ids[~torch.isin(labels[ids], torch.tensor(held_out, dtype=labels.dtype))]
