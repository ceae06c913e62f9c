"""Learning-rate schedules over the steps of one fit."""

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from kdlab.limits import is_share, positive, share, shown


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the learning rate constant."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: Optimizer, total_steps: int, *, warmup: float = 0.0) -> LambdaLR:
    """Lower the learning rate to 0 along half a cosine, after a linear rise over the share `warmup` of the steps.

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983), equation 5, without restarts.

    Raises:
        ValueError: when `warmup` is not in [0, 1).
    """
    if problems := share("warmup", warmup, "the share of steps spent rising", one=False):
        raise ValueError(*problems)
    rising = warmup * total_steps

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1.0, total_steps - rising))))

    return LambdaLR(optimizer, factor)


def steps(
    optimizer: Optimizer, total_steps: int, *, at: Sequence[float] = (0.625, 0.75, 0.875), factor: float = 0.1
) -> LambdaLR:
    """Multiply the learning rate by `factor` at each of some shares of the steps.

    The defaults are those of the tables of distillation on CIFAR-100: epochs 150, 180 and 210 of 240.

    Raises:
        ValueError: when `at` has no share in [0, 1], or `factor` is not above 0.
    """
    problems = positive("factor", factor)
    if not (isinstance(at, Sequence) and at and all(map(is_share, at))):
        problems.append(f"at={shown(at)}: must be shares of the steps in [0, 1]")
    if problems:
        raise ValueError("\n".join(problems))
    return LambdaLR(optimizer, lambda step: factor ** sum(step >= share * total_steps for share in at))
