"""Trained networks → rows: what each correction may see, and whom a student is compared with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from kdlab.config.experiment import EvaluationSettings, Recipe, StudentRecipe, TeacherRecipe
from kdlab.data import BlobsData, ClassificationData
from kdlab.fits.context import Context
from kdlab.fits.trained import Trained
from kdlab.hardware import Hardware
from kdlab.measure.networks import measure_networks
from kdlab.results import Fit, Row

CPU = Hardware(torch.device("cpu"), "32-true")
SETTINGS = EvaluationSettings(splits=("test",), prior_offsets="per_class", cost=False)
SHARED = {"net": {}, "augment": {}, "optimizer": {}, "schedule": {}, "max_epochs": 1, "patience": None, "seed": 0}


def trained(name: str, held_out: list[int] | None = None, teacher: str | None = None) -> Trained:
    """Return a linear network of random weights, as if it had been trained."""
    recipe: Recipe = TeacherRecipe(**SHARED, checkpoint=None)
    if teacher:
        taught = {"teacher": (teacher,), "targets": "teacher_soft", "held_out_classes": tuple(held_out or [])}
        recipe = StudentRecipe(**SHARED, **taught, loss={})
    return Trained(nn.Linear(2, 3), recipe, Fit(name, name, False, 1, 1.0, 9), [])


def blobs() -> ClassificationData:
    data = BlobsData(classes=3, held_out_classes=[2], val_size=0.2, train_samples=300, test_samples=300)
    data.setup()
    return data


def found(rows: list[Row], arm: str, metric: str, correction: str = "none") -> float:
    (row,) = (r for r in rows if (r.arm, r.metric, r.correction, r.classes) == (arm, metric, correction, "all"))
    return row.value


def test_the_correction_without_labels_is_blind_to_them_and_the_oracle_is_not():
    found = []
    for flip in (False, True):
        data = blobs()
        torch.manual_seed(0)
        fits = {"teacher": trained("teacher"), "student": trained("student", held_out=[2], teacher="teacher")}
        if flip:
            data.test = data.test._replace(labels=data.test.labels.flip(0))
            data.train = data.train._replace(labels=data.train.labels.clone())
            data.train.labels[data._val_ids] = data.train.labels[data._val_ids].flip(0)
        rows = measure_networks(Context(data, CPU, Path()), fits, SETTINGS).rows
        found.append({row.correction: row.value for row in rows if row.metric == "offset"})
    assert found[0]["prior"] == found[1]["prior"]
    assert found[0]["oracle"] != found[1]["oracle"]


def test_every_student_is_compared_with_its_own_teacher_and_teachers_with_the_first():
    torch.manual_seed(0)
    fits = {
        "teacher": trained("teacher"),
        "other": trained("other"),
        "first": trained("first", teacher="other"),
        "second": trained("second", teacher="first"),
    }
    data = blobs()
    rows = measure_networks(Context(data, CPU, Path()), fits, SETTINGS).rows
    with torch.no_grad():
        choices = {name: fit.net(data.test.inputs).argmax(dim=1) for name, fit in fits.items()}
    for arm, teacher in (("teacher", "teacher"), ("other", "teacher"), ("first", "other"), ("second", "first")):
        share = (choices[arm] == choices[teacher]).float().mean().item()
        assert found(rows, arm, "agreement") == pytest.approx(share), arm


def test_with_a_reference_all_are_compared_with_it_and_where_it_failed_a_note_says_so():
    torch.manual_seed(0)
    fits = {
        "teacher": trained("teacher"),
        "other": trained("other"),
        "of_teacher": trained("of_teacher", teacher="teacher"),
        "of_other": trained("of_other", teacher="other"),
    }
    data = blobs()
    with torch.no_grad():
        choices = {name: fit.net(data.test.inputs).argmax(dim=1) for name, fit in fits.items()}
    measured = measure_networks(Context(data, CPU, Path()), fits, replace(SETTINGS, reference="other"))
    for arm in fits:
        share = (choices[arm] == choices["other"]).float().mean().item()
        assert found(measured.rows, arm, "agreement") == pytest.approx(share), arm
    assert measured.notes == []
    alone = {name: fit for name, fit in fits.items() if name in ("teacher", "of_teacher")}
    without = measure_networks(Context(data, CPU, Path()), alone, replace(SETTINGS, reference="other"))
    assert without.rows == measure_networks(Context(data, CPU, Path()), alone, SETTINGS).rows
    assert without.notes == ["other failed, so that each student is compared with its own teacher instead"]


@pytest.mark.parametrize("bias", [-1e5, 1e5])
def test_a_teacher_that_never_or_always_says_the_held_out_class_costs_the_prior_alone_and_a_note_says_so(bias):
    torch.manual_seed(0)
    fits = {"teacher": trained("teacher"), "student": trained("student", held_out=[2], teacher="teacher")}
    with torch.no_grad():
        fits["teacher"].net.bias[2] = bias
    measured = measure_networks(Context(blobs(), CPU, Path()), fits, SETTINGS)
    assert {row.correction for row in measured.rows if row.arm == "student"} == {"none", "oracle"}
    assert not measured.prior_offsets
    (note,) = measured.notes
    assert note.startswith("student has no correction `prior` to teacher's mean probability of 2: the prior is [")


def test_the_class_prior_comes_from_the_nearest_teacher_that_has_seen_all_classes():
    torch.manual_seed(0)
    fits = {
        "teacher": trained("teacher"),
        "other": trained("other"),
        "first": trained("first", held_out=[2], teacher="other"),
        "second": trained("second", held_out=[2], teacher="first"),
    }
    data = blobs()
    context = Context(data, CPU, Path())
    offsets = measure_networks(context, fits, SETTINGS).prior_offsets
    inputs = data.split(data.unlabelled_split).inputs
    wanted = context.logits(fits["other"].net, inputs).softmax(dim=1).mean(dim=0)[2]
    for arm in ("first", "second"):
        corrected = context.logits(fits[arm].net, inputs) + offsets[arm]
        assert corrected.softmax(dim=1).mean(dim=0)[2].item() == pytest.approx(wanted.item(), abs=1e-5)
