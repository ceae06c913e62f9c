"""Controls keep what they claim to keep, and lose the rest; in a run, in a stack, and in a key."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError
from kdlab.fits.objective import equation_of
from kdlab.losses.controls import ClassMean, Permuted, Shuffled, Smoothed, TopK, WithinClass
from kdlab.pipeline import run

T = 3.0
N, C = 200, 7
ALL = [Permuted(), Permuted(fixed=True), TopK(1), TopK(3), ClassMean(), WithinClass(), Shuffled(), Smoothed()]


@pytest.fixture(scope="module")
def teacher() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.randn(N, C, generator=generator), torch.randint(0, C, (N,), generator=generator)


def softened(logits: Tensor) -> Tensor:
    return (logits.double() / T).softmax(dim=1)


def entropy(t: Tensor) -> Tensor:
    return -(t * t.log()).sum(dim=1)


@pytest.mark.parametrize("control", ALL, ids=lambda it: type(it).__name__)
def test_what_it_returns_are_logits_of_targets_that_are_finite_and_sum_to_one(control, teacher):
    logits = control(*teacher, T)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    raw = control.changed((teacher[0].double() / T).log_softmax(1), teacher[1])
    torch.testing.assert_close(raw.sum(dim=1), torch.ones(N, dtype=torch.float64))
    torch.testing.assert_close(softened(logits), raw, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("control", ALL, ids=lambda it: type(it).__name__)
def test_it_draws_the_same_each_time(control, teacher):
    assert torch.equal(control(*teacher, T), control(*teacher, T))


@pytest.mark.parametrize("fixed", [False, True])
def test_permuted_targets_keep_the_values_the_first_choice_and_the_entropy(fixed, teacher):
    t, changed = softened(teacher[0]), softened(Permuted(fixed=fixed, keep="first_choice")(*teacher, T))
    torch.testing.assert_close(changed.sort(dim=1).values, t.sort(dim=1).values, rtol=1e-5, atol=1e-7)
    assert torch.equal(changed.argmax(dim=1), t.argmax(dim=1))
    torch.testing.assert_close(entropy(changed), entropy(t), rtol=1e-5, atol=1e-7)
    assert not torch.allclose(changed, t, atol=1e-3)


@pytest.mark.parametrize("control", [Permuted(), Permuted(fixed=True), TopK(1)], ids=["each", "fixed", "even"])
def test_kept_on_the_label_the_largest_target_says_nothing_of_the_teachers_first_choice(control, teacher):
    """A teacher whose first choice is an unseen class, for some images of a seen one, would say which these are."""
    logits, labels = teacher
    changed = softened(control(logits, labels, T))
    assert torch.equal(changed.argmax(dim=1), labels)
    torch.testing.assert_close(changed.amax(dim=1), softened(logits).amax(dim=1), rtol=1e-5, atol=1e-7)
    unseen, (first, second) = labels < 5, (changed[:, 5], changed[:, 6])
    if isinstance(control, TopK):
        torch.testing.assert_close(first[unseen], second[unseen], rtol=1e-6, atol=1e-9)


def test_a_permutation_for_each_sample_leaves_no_class_that_is_nearer_than_others(teacher):
    """In the mean of many samples of one first choice all others are alike; a fixed order keeps them apart."""
    one = torch.tensor([[5.0, 3.0, 1.0, 0.0, -1.0, -2.0, -3.0]]).expand(20_000, C)
    labels = torch.zeros(20_000, dtype=torch.long)
    free, fixed = (softened(Permuted(fixed=it)(one, labels, T)).mean(dim=0)[1:] for it in (False, True))
    assert float(free.max() - free.min()) < 0.01
    assert float(fixed.max() - fixed.min()) > 0.1


def test_with_two_classes_a_permutation_changes_nothing(teacher):
    logits = teacher[0][:, :2]
    changed = Permuted(keep="first_choice")(logits, teacher[1] % 2, T)
    torch.testing.assert_close(softened(changed), softened(logits), rtol=1e-5, atol=1e-7)


def test_the_largest_targets_are_kept_and_the_rest_is_even_and_doing_it_twice_is_doing_it_once(teacher):
    once = TopK(2, keep="first_choice")(*teacher, T)
    t, changed = softened(teacher[0]), softened(once)
    torch.testing.assert_close(changed.topk(2).values, t.topk(2).values, rtol=1e-5, atol=1e-7)
    rest = changed.sort(dim=1).values[:, :-2]
    assert float((rest.max(dim=1).values - rest.min(dim=1).values).max()) < 1e-6
    again = TopK(2, keep="first_choice")(once, teacher[1], T)
    torch.testing.assert_close(softened(again), changed, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(softened(TopK(C, keep="first_choice")(*teacher, T)), t, rtol=1e-5, atol=1e-7)


def test_the_mean_of_a_class_is_the_mean_of_its_samples_and_of_a_constant_teacher_its_own(teacher):
    logits, labels = teacher
    changed = softened(ClassMean()(logits, labels, T))
    for label in range(C):
        expected = softened(logits)[labels == label].mean(dim=0)
        torch.testing.assert_close(
            changed[labels == label], expected.expand((labels == label).sum(), C), rtol=1e-5, atol=1e-7
        )
    constant = logits[:C][labels]
    torch.testing.assert_close(softened(ClassMean()(constant, labels, T)), softened(constant), rtol=1e-5, atol=1e-7)


def test_a_sample_gets_the_targets_of_another_one_of_its_class_each_used_once(teacher):
    logits, labels = teacher
    changed, t = softened(WithinClass()(logits, labels, T)), softened(logits)
    distance = torch.cdist(changed, t)
    source = distance.argmin(dim=1)
    assert float(distance.gather(1, source[:, None]).max()) < 1e-6
    assert torch.equal(labels[source], labels)
    assert len(source.unique()) == N
    assert (source != torch.arange(N)).all()


def test_shuffled_targets_are_those_of_samples_of_any_class(teacher):
    logits, labels = teacher
    source = torch.cdist(softened(Shuffled()(logits, labels, T)), softened(logits)).argmin(dim=1)
    assert len(source.unique()) == N
    assert 0.5 < (labels[source] != labels).float().mean() < 1


def test_matched_smoothing_has_the_teachers_mean_mass_on_wrong_classes_and_a_smoothed_teacher_its_own_epsilon(teacher):
    labels = teacher[1]
    right = torch.nn.functional.one_hot(labels, C).bool()
    logits = teacher[0] + 8 * right  # it knows something
    mass = 1 - softened(logits)[right].mean()
    assert float(1 - softened(Smoothed()(logits, labels, T))[right].mean()) == pytest.approx(float(mass), rel=1e-6)
    given = Smoothed(0.2)(logits, labels, T)
    torch.testing.assert_close(softened(Smoothed()(given, labels, T)), softened(given), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Permuted(seed=-1, fixed=2), "seed=-1.*\nfixed=2"), (lambda: TopK(0), "k=0"),
        (lambda: WithinClass(1.5), "seed=1.5"), (lambda: Smoothed(2), "epsilon=2"),
        (lambda: Permuted(keep="seen"), "keep=seen: must be label or first_choice"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_by_name(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


SMALL = [
    "+experiment=is_it_knowledge", "data=digits", "trainer=cpu", "figures=false", "model@teacher.net=mlp_64",
    "model@student.net=mlp_64", "augment@teacher.augment=none", "data.batch_size=64",
    "+every_arm.optimizer.lr=0.03",
]  # fmt: skip


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (["+arms.permuted.targets=truth"], "arms.permuted: a control changes soft targets, but targets=truth are hard"),
        (["augment@student.augment=jitter"], "a control needs targets that stay the same"),
        (["arms.permuted.control.seed=x"], "arms.permuted.control.seed=x: must be"),
        (["arms.permuted.control=permuted"], "arms.permuted.control=permuted: must be a mapping"),
    ],
)
def test_a_control_that_cannot_be_is_refused_before_any_training(override, problem):
    with pytest.raises(ConfigError) as caught:
        read(composed(*override))
    assert any(problem in line for line in caught.value.problems)


def test_on_digits_similarity_between_classes_is_what_teaches_the_unseen_digit(tmp_path):
    results = run(composed("store=off", "teacher.max_epochs=15", "student.max_epochs=20"), tmp_path)[0]
    unseen = {fit.arm: results.value(fit.arm, ["unseen"], "accuracy") for fit in results.fits}
    assert unseen["labels"] == 0
    assert all(unseen[arm] <= 0.3 for arm in ("smoothed", "uniform_rest", "permuted", "shuffled"))
    assert unseen["distilled"] >= 0.5
    assert {fit.stack for fit in results.fits if fit.arm != "teacher"} == {8}
    recipes = read(composed()).recipes
    assert equation_of(recipes["permuted"]).endswith("z_t changed by Permuted")
