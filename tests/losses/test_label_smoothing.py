"""Label smoothing: its definition, its limits, and its place in a run."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError
from kdlab.fits.objective import equation_of
from kdlab.fits.plan import plan_fits
from kdlab.limits import shown
from kdlab.losses.label_smoothing import LabelSmoothing
from kdlab.pipeline import context_of, run

ARM = ["+arms.smoothed.targets=truth", "+loss@arms.smoothed.loss=label_smoothing"]
SMALL = [
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=linear", "model@student.net=linear",
    "augment@teacher.augment=none", "teacher.max_epochs=1", "student.max_epochs=1", "figures=false", "store=off",
]  # fmt: skip


def logits(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    return z.to(dtype).requires_grad_(), torch.arange(7) % 5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_it_is_the_cross_entropy_with_the_smoothed_label(dtype, epsilon):
    z, y = logits(dtype)
    terms = LabelSmoothing(epsilon)(student_logits=z, targets=y)
    smoothed = (1 - epsilon) * one_hot(y, 5) + epsilon / 5
    expected = -(smoothed * log_softmax(z.detach().double(), dim=1)).sum(dim=1).mean()
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert terms.hard.item() == pytest.approx(cross_entropy(z.detach().double(), y).item(), rel=1e-6)
    assert terms.soft is None
    (gradient,) = torch.autograd.grad(terms.total, z)
    wanted = (z.detach().double().softmax(dim=1) - smoothed) / 7
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-4)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan"), "half", True])
def test_a_wrong_epsilon_is_refused_by_name(epsilon):
    with pytest.raises(
        ValueError, match=f"epsilon={shown(epsilon)}: the share of the labels that is spread evenly must lie"
    ):
        LabelSmoothing(epsilon)


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


def plans_of(*overrides: str):
    experiment = read(composed(*overrides))
    experiment.data.setup()
    return plan_fits(experiment.recipes, context_of(experiment, Path(), began=0.0, sweep=None))


def test_an_arm_of_it_depends_on_its_epsilon_and_on_no_teacher():
    first, other, of_other_teacher = (
        plans_of(*ARM, *more) for more in ([], ["arms.smoothed.loss.epsilon=0.2"], ["teacher.max_epochs=2"])
    )
    assert first["smoothed"].key == of_other_teacher["smoothed"].key != other["smoothed"].key
    assert first["smoothed"].key != first["baseline"].key
    assert equation_of(first["smoothed"].recipe) == "L = CE(z_s, 0.9 · y + 0.1/C)"


def test_an_arm_of_it_is_trained_as_any_other(tmp_path):
    results = run(composed(*ARM), tmp_path)[0]
    assert results.find("smoothed", "all", "accuracy").n == 450


def test_soft_targets_are_refused_where_the_loss_would_ignore_them():
    with pytest.raises(ConfigError) as caught:
        read(composed("+loss@arms.distilled.loss=label_smoothing"))
    assert caught.value.problems == [
        "arms.distilled: kdlab.losses.LabelSmoothing uses no soft targets, but targets=teacher_soft; take targets=truth"
    ]
