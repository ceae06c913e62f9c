"""Controls: soft targets that have all but the one thing that is claimed to teach.

A control takes a teacher's logits for a whole transfer set, and returns others in their place. With t = σ(z_t/T) the
teacher's targets at the temperature of the loss, it changes t and returns T · log t′, which any loss turns into t′
again. Random ones draw the same for a sample whatever its batch or epoch.

A teacher's first choice is knowledge too: where it is an unseen class, the largest probability says of which images.
`keep` says whether a control leaves it there, or puts it on the label.

Sources: Furlanello et al. 2018 (arXiv:1805.04770) for permuted targets, Müller et al. 2019 (arXiv:1906.02629) for
matched smoothing, Tang et al. 2020 (arXiv:2002.03532) for class means and top k.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.limits import boolean, integer, share, shown

# Probabilities below this are none: their logarithm stays finite.
TINY = 1e-30
# Which class the largest probability stays with.
KEEPS = ("label", "first_choice")


class Control(ABC):
    """Changes a teacher's soft targets."""

    def __call__(self, logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
        """Return other logits, (N, C) in float32.

        Args:
            logits: (N, C), the teacher's, for all samples of the transfer set.
            labels: (N,), class indices.
            temperature: T of the loss that they are for.
        """
        log_t = F.log_softmax(logits.double() / temperature, dim=1)
        return (temperature * self.changed(log_t, labels).clamp_min(TINY).log()).float()

    @abstractmethod
    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return the changed targets t′ (N, C), from log t (N, C) in float64."""


class Permuted(Control):
    """Permute all but the largest probability: the same confidence and entropy, no similarity of classes.

    Args:
        seed: of the permutations.
        fixed: one order of the classes for all samples, which a student can learn, instead of one for each sample.
        keep: the class that gets the largest probability: `label`, or the teacher's `first_choice`, as in the source.

    Raises:
        ValueError: one line for each wrong argument.
    """

    def __init__(self, seed: int = 0, fixed: bool = False, keep: str = "label") -> None:
        if problems := integer("seed", seed, least=0) + boolean("fixed", fixed) + _keep_problems(keep):
            raise ValueError("\n".join(problems))
        self.seed, self.fixed, self.keep = seed, fixed, keep

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return each row with its largest entry where it is kept, and the others in a random order."""
        log_t = _kept(log_t, labels, self.keep)
        n, c = log_t.shape
        generator = torch.Generator().manual_seed(self.seed)
        ranks = torch.rand(1 if self.fixed else n, c, generator=generator).expand(n, c)
        largest = log_t.argmax(dim=1, keepdim=True)
        # Sorted last, the largest takes part in neither order.
        sources = ranks.scatter(1, largest, torch.inf).argsort(dim=1)[:, :-1]
        places = torch.arange(c).expand(n, c).scatter(1, largest, c).argsort(dim=1)[:, :-1]
        return log_t.exp().scatter(1, places, log_t.exp().gather(1, sources))


class TopK(Control):
    """Keep the k largest probabilities, and spread the rest of the mass evenly.

    With k = 1 only the teacher's confidence in its first choice is left.

    Args:
        k: how many are kept.
        keep: the class that gets the largest of them: `label`, or the teacher's `first_choice`, as in the source.

    Raises:
        ValueError: one line for each wrong argument.
    """

    def __init__(self, k: int = 1, keep: str = "label") -> None:
        if problems := integer("k", k) + _keep_problems(keep):
            raise ValueError("\n".join(problems))
        self.k, self.keep = k, keep

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return each row with all but its k largest entries at their mean; all are kept where there are no more."""
        t = _kept(log_t, labels, self.keep).exp()
        if self.k >= t.shape[1]:
            return t
        kept = t.topk(self.k, dim=1)
        even = ((1 - kept.values.sum(dim=1, keepdim=True)) / (t.shape[1] - self.k)).clamp_min(0)
        return even.expand_as(t).scatter(1, kept.indices, kept.values)


class ClassMean(Control):
    """Give each sample the mean targets of its class: which classes are alike, and nothing of the single image."""

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of the rows with the same label."""
        t = log_t.exp()
        sums = torch.zeros(t.shape[1], t.shape[1], dtype=t.dtype).index_add_(0, labels, t)
        return (sums / labels.bincount(minlength=t.shape[1]).clamp_min(1)[:, None])[labels]


class WithinClass(Control):
    """Give each sample the targets of another sample of its class: real targets, of another image.

    Args:
        seed: of the order in which samples of a class take each other's.

    Raises:
        ValueError: when `seed` is no integer of at least 0.
    """

    def __init__(self, seed: int = 0) -> None:
        if problems := integer("seed", seed, least=0):
            raise ValueError(*problems)
        self.seed = seed

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return the rows moved on by one in a random circle of each class; a class of one sample keeps its own."""
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(self.seed))
        t, moved = log_t.exp(), torch.empty_like(log_t)
        for label in labels.unique():
            circle = order[labels[order] == label]
            moved[circle] = t[circle.roll(1)]
        return moved


class Shuffled(WithinClass):
    """Give each sample the targets of any other sample: a teacher without knowledge, as sure as the real one."""

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return the rows moved on by one in one random circle."""
        return super().changed(log_t, torch.zeros_like(labels))


class Smoothed(Control):
    """Replace the targets by labels that are smoothed as much as the teacher is unsure, evenly.

    t′ = (1 − ε) e_y + ε/C with ε = mean_n (1 − t_y) · C / (C − 1): the same mass on the wrong classes in the mean.

    Args:
        epsilon: ε, in [0, 1]; None to match the teacher at the loss's temperature.

    Raises:
        ValueError: when `epsilon` is out of its range.
    """

    def __init__(self, epsilon: float | None = None) -> None:
        if epsilon is not None and (problems := share("epsilon", epsilon, "the share that is spread evenly")):
            raise ValueError(*problems)
        self.epsilon = epsilon

    def changed(self, log_t: Tensor, labels: Tensor) -> Tensor:
        """Return the smoothed labels."""
        classes = log_t.shape[1]
        right = F.one_hot(labels, classes).double()
        unsure = float((1 - (log_t.exp() * right).sum(dim=1)).mean()) * classes / (classes - 1)
        epsilon = min(unsure, 1.0) if self.epsilon is None else self.epsilon
        return (1 - epsilon) * right + epsilon / classes


def _kept(log_t: Tensor, labels: Tensor, keep: str) -> Tensor:
    """Return the targets with the largest probability on the label, in exchange for the label's, if that is kept."""
    if keep == "first_choice":
        return log_t
    largest = log_t.max(dim=1, keepdim=True)
    label = labels[:, None]
    return log_t.scatter(1, largest.indices, log_t.gather(1, label)).scatter(1, label, largest.values)


def _keep_problems(keep: Any) -> list[str]:
    return [] if keep in KEEPS else [f"keep={shown(keep)}: must be {' or '.join(KEEPS)}"]
