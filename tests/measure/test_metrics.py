"""Rows: their groups, their figures, their corrections."""

import pytest
import torch
from scipy.special import log_softmax
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from kdlab.config.comparison import METRICS
from kdlab.measure.metrics import answers_of, measure
from kdlab.results import Row


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 4, generator=generator) * 2
    labels = torch.randint(0, 4, (500,), generator=generator)
    teacher = torch.nn.functional.one_hot(labels, 4) * 5.0 + torch.randn(500, 4, generator=generator)
    return logits, labels, teacher


def table(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row.classes, row.metric): row for row in rows}


def test_figures_equal_plain_computations(case):
    logits, labels, teacher = case
    rows = table(measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=[1]))
    guess = logits.argmax(1)
    for classes, mask in {"all": labels >= 0, "seen": labels != 1, "unseen": labels == 1, "3": labels == 3}.items():
        assert rows[classes, "errors"].value == int((guess != labels)[mask].sum())
        assert rows[classes, "accuracy"].value == pytest.approx((guess == labels)[mask].float().mean().item())
        assert rows[classes, "agreement"].value == pytest.approx((guess == teacher.argmax(1))[mask].float().mean())
        nll = -log_softmax(logits[mask].double().numpy(), axis=1)[range(int(mask.sum())), labels[mask]].mean()
        assert rows[classes, "nll"].value == pytest.approx(nll, rel=1e-5)
        assert rows[classes, "errors"].n == int(mask.sum())


def test_fidelity_and_brier_score_equal_plain_computations_and_are_told_of_groups_alone(case):
    logits, labels, teacher = case
    teacher = teacher - 4 * torch.nn.functional.one_hot(labels, 4)  # one that errs
    rows = table(measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=[1]))
    p, q = teacher.double().softmax(1), logits.double().softmax(1)
    errs = teacher.argmax(1) != labels
    alike = logits.argmax(1) == teacher.argmax(1)
    for classes, mask in {"all": labels >= 0, "seen": labels != 1, "unseen": labels == 1}.items():
        kl = (p * (p.log() - q.log())).sum(1)[mask].mean()
        assert rows[classes, "kl_to_teacher"].value == pytest.approx(float(kl), rel=1e-5)
        brier = (q - torch.nn.functional.one_hot(labels, 4)).square().sum(1)[mask].mean()
        assert rows[classes, "brier"].value == pytest.approx(float(brier), rel=1e-5)
        row = rows[classes, "agreement_where_teacher_errs"]
        assert row.value == pytest.approx(float(alike[mask & errs].double().mean()))
        assert row.n == int((mask & errs).sum()) > 0
    assert not any(("2", name) in rows for name in ("kl_to_teacher", "brier", "agreement_where_teacher_errs"))


def test_a_teacher_is_no_distance_from_itself_and_one_without_errors_has_no_row_of_them(case):
    _, labels, teacher = case
    sure = teacher + 50 * torch.nn.functional.one_hot(labels, 4)
    rows = table(measure("teacher", "test", sure, labels, teacher=answers_of(sure), held_out=[]))
    assert rows["all", "kl_to_teacher"].value == pytest.approx(0, abs=1e-6)
    assert ("all", "agreement_where_teacher_errs") not in rows


def test_ece_equals_its_definition(case):
    logits, labels, teacher = case
    value = table(measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=[]))["all", "ece"].value
    confidence, guess = logits.softmax(1).max(1)
    bins = torch.bucketize(confidence, torch.linspace(0, 1, 16)[1:-1])
    expected = sum(
        (bins == b).float().mean() * ((guess == labels)[bins == b].float().mean() - confidence[bins == b].mean()).abs()
        for b in bins.unique()
    )
    assert value == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("held_out", [[], [0, 2]])
def test_every_group_has_torchmetrics_figures(case, held_out):
    logits, labels, teacher = case
    logits, labels, teacher = logits[:150], labels[:150], teacher[:150]
    rows = table(measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=held_out))
    unseen = torch.isin(labels, torch.tensor(held_out, dtype=torch.long))
    masks = {"all": labels >= 0, "seen": ~unseen} | {str(c): labels == c for c in range(4)}
    for classes, mask in masks.items() | ({"unseen": unseen} if held_out else {}).items():
        z, y = logits[mask], labels[mask]
        ece = multiclass_calibration_error(z.softmax(1), y, num_classes=4, n_bins=15, norm="l1")
        assert rows[classes, "ece"].value == pytest.approx(float(ece), abs=1e-6)
        if len(y.unique()) > 1:
            present = [c for c in range(4) if c in y]
            recall = multiclass_accuracy(z, y, num_classes=4, average=None)[present]
            assert rows[classes, "balanced_accuracy"].value == pytest.approx(float(recall.mean()), abs=1e-6)


def test_every_metric_can_stand_in_an_experiments_comparison(case):
    logits, labels, teacher = case
    known = {"teacher": answers_of(teacher), "log_posterior": teacher.log_softmax(dim=1)}
    rows = measure("a", "test", logits, labels, held_out=[0], **known)
    assert {row.metric for row in rows} <= set(METRICS)


def test_balanced_accuracy_is_there_where_classes_have_different_sizes():
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 2])
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 0, 2, 2, 0]), 3).float()
    rows = table(measure("a", "test", logits, labels, teacher=answers_of(logits), held_out=[1]))
    assert rows["all", "balanced_accuracy"].value == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert {classes for classes, metric in rows if metric == "balanced_accuracy"} == {"all"}  # 0 and 2 have three each


def test_the_first_choice_is_the_largest_logit_however_small_the_difference():
    logits = torch.tensor([[100.0, 100.00001, 0.0]])  # as probabilities the first two are equal
    rows = table(measure("a", "test", logits, torch.tensor([1]), teacher=answers_of(logits), held_out=[]))
    assert rows["all", "errors"].value == 0


def test_groups_add_up(case):
    logits, labels, teacher = case
    rows = table(measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=[0, 2]))
    assert rows["seen", "errors"].value + rows["unseen", "errors"].value == rows["all", "errors"].value
    assert sum(rows[str(c), "errors"].value for c in range(4)) == rows["all", "errors"].value
    assert sum(rows[str(c), "errors"].n for c in range(4)) == 500


def test_without_held_out_classes_nothing_is_unseen(case):
    logits, labels, teacher = case
    assert "unseen" not in {
        r.classes for r in measure("a", "test", logits, labels, teacher=answers_of(teacher), held_out=[])
    }


def test_a_class_missing_from_the_samples_has_no_rows(case):
    logits, labels, teacher = case
    keep = labels != 2
    rows = measure("a", "test", logits[keep], labels[keep], teacher=answers_of(teacher[keep]), held_out=[2])
    assert not {"2", "unseen"} & {row.classes for row in rows}


def test_excess_risk_is_the_expected_error_above_the_bayes_rules_and_never_negative(case):
    logits, labels, teacher = case
    posterior = torch.randn(500, 4, dtype=torch.float64).softmax(dim=1)
    known = {"teacher": answers_of(teacher), "held_out": [], "log_posterior": posterior.log()}
    rows = measure("s", "test", logits, labels, **known)
    found = {row.metric: row.value for row in rows if row.classes == "all"}
    choice = logits.argmax(1)
    expected = [float(p.max() - p[c]) for p, c in zip(posterior, choice, strict=True)]
    assert found["excess_risk"] == pytest.approx(sum(expected) / 500, abs=1e-6)
    assert found["bayes_agreement"] == pytest.approx(float((choice == posterior.argmax(1)).double().mean()))
    rule = measure("b", "test", posterior.log(), labels, **known)
    assert all(row.value == 0 for row in rule if row.metric == "excess_risk")
    assert min(row.value for row in rows if row.metric == "excess_risk") >= 0


def test_unseen_classes_are_told_apart_among_each_other_whatever_the_logits_of_the_others():
    logits = torch.tensor([[9.0, 1, 2], [9.0, 2, 1], [9.0, 2, 1], [9.0, 1, 2], [0.0, 0, 9]])
    labels = torch.tensor([2, 1, 2, 2, 0])
    rows = measure("a", "test", logits, labels, teacher=answers_of(logits), held_out=[1, 2])
    found = {row.classes: row.value for row in rows if row.metric == "mutual_accuracy"}
    assert found == {"unseen": 0.75}
    alone = measure("a", "test", logits, labels, teacher=answers_of(logits), held_out=[2])
    assert not [row for row in alone if row.metric == "mutual_accuracy"]
