"""Gaussian clusters with known posterior and Bayes error."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.hashing import derive
from kdlab.limits import integer, is_finite, is_positive, memory, positive
from kdlab.models.bayes import BayesError, GaussianBayesRule, draw

# The most that is held for each number of a sample while samples are drawn, and for each number of the means.
SAMPLE_BYTES, MEAN_BYTES = 28, 16


class BlobsData(ClassificationData):
    """Gaussian classes N(μ_k, σ² I) with known posteriors.

    The default is the founding problem: N([−2, 0], I) against N([2, 0], I), Bayes error Φ(−2). The test samples are an
    independent draw from the same distribution.

    Args:
        classes: C, if `means` is null.
        dimension: D, if `means` is null; at least 2.
        radius: if `means` is null, the C means are evenly spaced on a circle of this radius in the first two
            dimensions, starting at [−radius, 0].
        means: C lists of D numbers; null for the circle.
        variance: σ².
        priors: C numbers above 0 that sum to 1; null for equal ones.
        train_samples: number of samples for training and validation.
        test_samples: number of samples for testing.
        sample_seed: the seed of the draws.
        **kwargs: see `ClassificationData`.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    name = "blobs"

    def __init__(
        self,
        *,
        classes: int = 2,
        dimension: int = 2,
        radius: float = 2.0,
        means: Sequence[Sequence[float]] | None = None,
        variance: float = 1.0,
        priors: Sequence[float] | None = None,
        train_samples: int = 1000,
        test_samples: int = 10_000,
        sample_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        problems = [
            *integer("classes", classes, least=2),
            *integer("dimension", dimension, least=2),
            *integer("train_samples", train_samples),
            *integer("test_samples", test_samples),
            *integer("sample_seed", sample_seed, least=0),
            *positive("radius", radius),
            *positive("variance", variance),
        ]
        problems += problems or _memory_problems(classes, dimension, means, train_samples, test_samples)
        if means is not None and not _is_table(means):
            problems.append(f"means={means}: must be a list of at least two lists of finite numbers, all equally long")
        elif not problems:
            self.means = (
                _circle(classes, dimension, radius) if means is None else torch.tensor(means, dtype=torch.float64)
            )
            count = len(self.means)
            if priors is not None and not _is_distribution(priors, count):
                problems.append(f"priors={priors}: must be {count} numbers above 0 that sum to 1, one for each class")
        if problems:
            raise ValueError("\n".join(problems))
        self.variance = float(variance)
        self.priors = torch.full((count,), 1 / count, dtype=torch.float64)
        if priors is not None:
            self.priors = torch.tensor(priors, dtype=torch.float64)
        self.train_samples, self.test_samples, self.sample_seed = train_samples, test_samples, sample_seed
        self.class_names = tuple(map(str, range(count)))
        self.input_shape = (self.means.shape[1],)
        self.bayes_rule: GaussianBayesRule = GaussianBayesRule(self.means, self.variance, self.priors)
        super().__init__(**kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Draw the training and the test samples (N, D) float32."""
        return self._draw("train", self.train_samples), self._draw("test", self.test_samples)

    def _draw(self, purpose: str, count: int) -> Samples:
        seed = derive(self.sample_seed, f"blobs {purpose}")
        return Samples(*draw(self.means, self.variance, self.priors, count, seed))

    def scale(self, inputs: Tensor) -> Tensor:
        """Return the inputs unscaled."""
        return inputs.float()

    def scaling(self) -> dict[str, Any]:
        """Return the numbers of `scale`."""
        return {"divisor": 1}

    def posterior(self, inputs: Tensor) -> Tensor:
        """Return the true P(y = k | x), (N, C) float64, of inputs (N, D), in closed form."""
        return self.bayes_rule.log_posterior(inputs).exp()

    def bayes_error(self) -> BayesError:
        """Return the lowest possible error rate: in closed form for two classes, else estimated."""
        return self.bayes_rule.error()

    def identity(self) -> dict[str, Any]:
        """Return what the batches depend on, and the distribution, on which Bayes targets depend."""
        distribution = {"means": self.means.tolist(), "variance": self.variance, "priors": self.priors.tolist()}
        return super().identity() | distribution


def _memory_problems(classes: int, dimension: int, means: Any, train_samples: int, test_samples: int) -> list[str]:
    """Return what is wrong with sizes that do not fit into memory."""
    if means is not None:
        dimension = len(means[0]) if _is_table(means) else 1
    elif too_many := memory(
        *(("dimension", dimension) if dimension > classes else ("classes", classes)),
        MEAN_BYTES * classes * dimension,
        "the means",
    ):
        return too_many
    sizes = {"train_samples": train_samples, "test_samples": test_samples}
    return [line for name, n in sizes.items() for line in memory(name, n, n * dimension * SAMPLE_BYTES, "the draw")]


def _circle(count: int, dimension: int, radius: float) -> Tensor:
    angles = math.pi + 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    means = torch.zeros(count, dimension, dtype=torch.float64)
    means[:, 0], means[:, 1] = radius * angles.cos(), radius * angles.sin()
    return means


def _is_table(rows: object) -> bool:
    if not (isinstance(rows, Sequence) and len(rows) >= 2 and all(isinstance(row, Sequence) for row in rows)):
        return False
    return len({len(row) for row in rows}) == 1 and len(rows[0]) > 0 and all(is_finite(x) for row in rows for x in row)


def _is_distribution(priors: object, count: int) -> bool:
    return (
        isinstance(priors, Sequence)
        and len(priors) == count
        and all(map(is_positive, priors))
        and math.isclose(sum(priors), 1, abs_tol=1e-6)
    )
