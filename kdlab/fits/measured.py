"""The logits on which fits are measured, where they are kept beside the weights of students that were trained at once.

A stack's students are asked together when they are trained (`kdlab.fits.obtain`), and each point of a sweep reads what
its own students answered (`kdlab.measure.networks`).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kdlab.fits.context import Context
from kdlab.fits.trained import Trained

# A fit's logits are kept where those for all samples of the set that a split is part of have no more bytes.
KEPT_BYTES = 32 * 2**20
# The most bytes of logits that are held at once while a stack's students are asked.
HELD_BYTES = 2**30

# A fit's logits (N, C) by the key of their samples, see `ClassificationData.split_key`.
Logits = Mapping[str, Tensor]


def are_kept(fit: Trained, split: str, context: Context) -> bool:
    """Tell whether a fit's logits for a split are kept in the store, though it may teach nobody."""
    return fit.record.stack > 1 and _bytes(split, context) <= KEPT_BYTES


def logits_of_all(fits: Sequence[tuple[Trained, Context]]) -> dict[str, dict[str, Tensor]]:
    """Return the logits of several networks that are to be kept, by the fit's key and that of the samples.

    Inputs of one context are read, moved and scaled once for all its fits. Each network gets the batches that it would
    get alone, so that its logits are the same, bit for bit.
    """
    of_context: dict[int, tuple[Context, list[Trained]]] = {}
    for fit, context in fits:
        of_context.setdefault(id(context), (context, []))[1].append(fit)
    return {key: logits for context, own in of_context.values() for key, logits in _of_one(context, own).items()}


def _of_one(context: Context, fits: Sequence[Trained]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {fit.record.key: {} for fit in fits}
    for split in context.measured_on:
        asked = [fit for fit in fits if context.store and are_kept(fit, split, context)]
        at_once = max(1, HELD_BYTES // max(1, _bytes(split, context)))
        for start in range(0, len(asked), at_once):
            part = asked[start : start + at_once]
            together = _Together([fit.net for fit in part]).eval()
            answers = context.logits(together, context.data.split(split).inputs).unbind(dim=1)
            for fit, logits in zip(part, answers, strict=True):
                found[fit.record.key][context.data.split_key(split)] = logits.contiguous()
    return found


def _bytes(split: str, context: Context) -> int:
    """Return the bytes of a fit's logits for the test set, or for the training set with its validation part."""
    samples = context.data.split("test" if split == "test" else "official")
    return 4 * len(samples.labels) * len(context.data.class_names)


class _Together(nn.Module):
    """Several networks (N, …) → (N, C) as one, (N, …) → (N, networks, C)."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([net(inputs).float() for net in self.nets], dim=1)
