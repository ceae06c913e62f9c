"""Two networks on the same samples → how many each alone gets right, for claims about their difference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from kdlab.config.claims import Claim
from kdlab.results import Correction, Disagreement

Answers = Mapping[tuple[str, Correction], Tensor]


def disagreements(
    claims: Iterable[Claim], split: str, labels: Tensor, *, right: Answers, held_out: Mapping[str, Sequence[int]]
) -> Iterator[Disagreement]:
    """Yield the counts for each claim about right or wrong answers of two networks on the same samples of a split.

    Args:
        claims: of the experiment.
        split: that was measured.
        labels: (N,) of its samples.
        right: whether each answer is right, (N,), by arm and correction.
        held_out: the classes that are `unseen` for each arm.
    """
    for claim in claims:
        value, minus = claim.value, claim.minus
        if minus is None or value.split != split or not claim.counts_samples:
            continue
        first, second = (next((key for key in right if key == (it.arm, it.correction)), None) for it in (value, minus))
        if first is None or second is None:
            continue
        among, others = (_members(value.classes[0], labels, held_out[arm]) for arm, _ in (first, second))
        if among.any() and torch.equal(among, others):
            alone = [int((right[a] & ~right[b] & among).sum()) for a, b in ((first, second), (second, first))]
            yield Disagreement(split, value.classes[0], first, second, *alone)


def _members(classes: str, labels: Tensor, held_out: Sequence[int]) -> Tensor:
    """Return which samples (N,) are of a group of classes, or of the class with this index."""
    if classes == "all":
        return torch.ones_like(labels, dtype=torch.bool)
    if classes in ("seen", "unseen"):
        unseen = torch.isin(labels, torch.tensor(list(held_out), dtype=labels.dtype))
        return unseen if classes == "unseen" else ~unseen
    return labels == int(classes)
