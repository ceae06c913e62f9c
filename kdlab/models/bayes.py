"""The Bayes rule: the best possible classifier of data with a known distribution."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

MONTE_CARLO_SAMPLES = 1_000_000
# Numbers of a sample that are drawn at once.
DRAWN_AT_ONCE = 2_000_000


class BayesError(NamedTuple):
    """The lowest possible error rate: exact (`samples` is 0), or a Monte-Carlo estimate with its standard error."""

    value: float
    standard_error: float
    samples: int


class GaussianBayesRule(nn.Module):
    r"""The Bayes rule of Gaussian classes with one covariance σ² I: inputs (N, D) → log-posteriors (N, C).

    .. math:: \log P(y = k \mid x) = \log \pi_k - \frac{\|x - \mu_k\|^2}{2\sigma^2} + \text{const}

    normalized over the classes. It is computed in float64, since classes may be many σ apart, and returned in float32.

    Args:
        means: (C, D).
        variance: σ².
        priors: (C,), above 0, summing to 1.
    """

    def __init__(self, means: Tensor, variance: float, priors: Tensor) -> None:
        super().__init__()
        self.means = means.double()
        self.variance = variance
        self.priors = priors.double()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return log P(y = k | x), (N, C)."""
        return self.log_posterior(inputs).float()

    def log_posterior(self, inputs: Tensor) -> Tensor:
        """Return log P(y = k | x), (N, C), in float64."""
        means, priors = self.means.to(inputs.device), self.priors.to(inputs.device)
        # Without ‖x‖² / 2σ², which all classes share: adding it would lose digits.
        x = inputs.double()
        scores = (x @ means.T - means.square().sum(dim=1) / 2) / self.variance + priors.log()
        return scores.log_softmax(dim=1)

    def error(self) -> BayesError:
        """Return the lowest possible error rate: in closed form for two classes, else estimated.

        The estimate is the mean of 1 − max_k P(y = k | x) over a million draws of x.
        """
        if len(self.means) == 2:
            return BayesError(two_class_error(self.means, self.variance, self.priors), 0.0, 0)
        risk = torch.empty(MONTE_CARLO_SAMPLES, dtype=torch.float64)
        done = 0
        for inputs, labels in draws(self.means, self.variance, self.priors, len(risk), seed=0):
            risk[done : done + len(labels)] = 1 - self.log_posterior(inputs).exp().amax(dim=1)
            done += len(labels)
        return BayesError(float(risk.mean()), float(risk.std() / math.sqrt(len(risk))), len(risk))


def two_class_error(means: Tensor, variance: float, priors: Tensor) -> float:
    r"""Return the Bayes error of two Gaussian classes in closed form.

    .. math::
        \pi_0 \Phi\!\left(-\tfrac{d}{2} - \tfrac{\ln(\pi_0 / \pi_1)}{d}\right)
        + \pi_1 \Phi\!\left(-\tfrac{d}{2} + \tfrac{\ln(\pi_0 / \pi_1)}{d}\right),
        \qquad d = \|\mu_0 - \mu_1\| / \sigma

    (Duda, Hart and Stork 2001, section 2.6.1); Φ(−d/2) for equal priors, and the smaller prior for d = 0.
    """
    distance = float((means[0] - means[1]).double().norm()) / math.sqrt(variance)
    first, second = priors.tolist()
    if distance == 0:
        return min(first, second)
    shift = math.log(first / second) / distance
    return first * _phi(-distance / 2 - shift) + second * _phi(-distance / 2 + shift)


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def draw(means: Tensor, variance: float, priors: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `count` samples: inputs (N, D) float32, labels (N,) from the priors; a function of the arguments alone."""
    inputs, labels = zip(*draws(means, variance, priors, count, seed), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def draws(means: Tensor, variance: float, priors: Tensor, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the samples of `draw` in parts that take little memory."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(priors.double(), count, replacement=True, generator=generator)
    dimension = means.shape[1]
    # The generator draws 16 numbers at a time: parts of a multiple of 16 are the same as one draw of all.
    at_once = max(16, DRAWN_AT_ONCE // dimension // 16 * 16)
    parts = labels.split(at_once)
    if len(parts) > 1 and len(parts[-1]) * dimension < 16:  # a draw of fewer than 16 is another one
        parts = (*parts[:-2], torch.cat(parts[-2:]))
    for part in parts:
        noise = torch.randn(len(part), dimension, generator=generator, dtype=torch.float64)
        yield (means.double()[part] + math.sqrt(variance) * noise).float(), part
