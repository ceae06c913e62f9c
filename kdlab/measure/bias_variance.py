"""What several seeds' networks have in common, and how they differ: NLL split exactly into bias and variance."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.config.comparison import GROUPS
from kdlab.errors import KdlabError
from kdlab.measure.reopen import reopen


class NllSplit(NamedTuple):
    """The mean NLL of several networks, and its two parts, in nats."""

    nll: float
    bias: float
    variance: float


class NllLine(NamedTuple):
    """The split of an arm's NLL on a group of `n` samples, over `seeds` runs."""

    arm: str
    classes: str
    split: NllSplit
    n: int
    seeds: int


def split_nll(logits: Tensor, labels: Tensor) -> NllSplit:
    r"""Return the mean NLL of D networks, the NLL of their mean (bias), and how far they are from it (variance).

    .. math::
        \mathrm{mean}_D \, \mathrm{NLL}(q_D) = \mathrm{NLL}(\bar q) + \mathrm{mean}_D \, \mathrm{KL}(\bar q \,\|\, q_D),
        \quad \bar q = \mathrm{softmax}(\mathrm{mean}_D \log q_D)

    Source: Heskes 1998, "Bias/variance decompositions for likelihood-based estimators"; for distillation Zhou et al.
    2021 (arXiv:2102.00650).

    Args:
        logits: (D, N, C), of D networks for the same N samples.
        labels: (N,).
    """
    log_q = F.log_softmax(logits.double(), dim=2)
    log_mean = F.log_softmax(log_q.mean(dim=0), dim=1)
    divergence = (log_mean.exp() * (log_mean - log_q)).sum(dim=2)
    of_label = labels.unsqueeze(1)
    nll = -log_q.gather(2, of_label.expand(len(logits), -1, -1)).mean()
    return NllSplit(float(nll), float(-log_mean.gather(1, of_label).mean()), float(divergence.mean()))


def split_over_seeds(folders: Sequence[Path]) -> list[NllLine]:
    """Return the split of each arm's NLL over runs that differ in their seeds alone, on their `shown_split`.

    Raises:
        KdlabError: when a run cannot be opened, or there are fewer than two; when their data differ, as where the seed
            draws them.
    """
    if len(folders) < 2:
        raise KdlabError("bias and variance are about several seeds: two finished runs are needed at least")
    logits: dict[str, list[Tensor]] = defaultdict(list)
    held_out: dict[str, list[int]] = {}
    labels = checksum = None
    for folder in folders:
        stored, context, fits = reopen(folder)
        if checksum not in (None, context.data.checksum()):
            raise KdlabError(f"{folder}: its data are not those of {folders[0]}, so that no sample has several answers")
        checksum, labels = context.data.checksum(), context.data.split(stored.shown_split).labels
        for name, fit in fits.items():
            logits[name].append(context.logits_on(fit, stored.shown_split))
            held_out[name] = fit.held_out or context.data.held_out
    assert labels is not None
    found = []
    for name, of_seeds in logits.items():
        unseen = torch.isin(labels, torch.tensor(held_out[name], dtype=labels.dtype))
        for classes, members in zip(GROUPS, (torch.ones_like(unseen), ~unseen, unseen), strict=True):
            if members.any() and (classes == "all" or unseen.any()) and len(of_seeds) > 1:
                split = split_nll(torch.stack(of_seeds)[:, members], labels[members])
                found.append(NllLine(name, classes, split, int(members.sum()), len(of_seeds)))
    return found
