"""The story of one experiment: where targets and weights come from, and what depends on what."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from kdlab import checkpoints
from kdlab.checkpoints import CheckpointError
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.train import CONFIGS

BLOBS = [
    "data=blobs", "data.classes=3", "trainer=cpu", "optimizer=adam", "optimizer.lr=0.01", "name=x",
    "model@teacher.net=mlp_64", "model@student.net=mlp_4", "teacher.max_epochs=3", "student.max_epochs=3",
    "data.train_samples=300", "data.test_samples=500", "store=off",
]  # fmt: skip


def go(folder: Path, *overrides: str) -> Results:
    folder.mkdir()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*BLOBS, *overrides])
    return run(config, folder)[0]


def of(results: Results, arm: str) -> list[tuple]:
    return [(r.classes, r.correction, r.metric, r.value) for r in results.rows if r.arm == arm]


ARMS = [
    f"+arms.{name}.targets={name}" for name in ("truth", "teacher_hard", "teacher_soft", "bayes_hard", "bayes_soft")
]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return go(tmp_path_factory.mktemp("five") / "run", *ARMS)


def test_each_of_the_five_targets_makes_another_student(five):
    assert len({str(of(five, arm)) for arm in five.config["arms"]}) == 5
    assert len({fit.key for fit in five.fits}) == 6


@pytest.mark.parametrize("arm", ["truth", "bayes_hard", "bayes_soft", "teacher_hard", "teacher_soft"])
def test_what_a_student_learns_from_decides_what_its_key_depends_on(five, tmp_path, arm):
    other_teacher = go(tmp_path / "run", f"+arms.{arm}.targets={arm}", "teacher.max_epochs=2")
    other_loss = go(tmp_path / "loss", f"+arms.{arm}.targets={arm}", "loss.temperature=2")
    key, with_teacher, with_loss = (r.fits[-1].key if r is not five else next(
        fit.key for fit in five.fits if fit.arm == arm
    ) for r in (five, other_teacher, other_loss))  # fmt: skip
    assert (with_teacher != key) == arm.startswith("teacher")
    assert (with_loss != key) == arm.endswith("soft")


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_loaded_teacher_teaches_as_the_trained_one_did(tmp_path, kind):
    arms = ["+arms.soft={}", "+arms.hard.targets=teacher_hard"]
    trained = go(tmp_path / "first", *arms)
    weights = tmp_path / "first" / "checkpoints" / "teacher.pt"
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(torch.load(weights, weights_only=True), weights.with_suffix(".safetensors"))
        weights = weights.with_suffix(".safetensors")
    loaded = go(
        tmp_path / "second", "+arms.soft={}", "+arms.hard.targets=teacher_hard", f"teacher.checkpoint={weights}"
    )
    for arm in ("teacher", "soft", "hard"):
        assert of(loaded, arm) == of(trained, arm)
    teacher = loaded.fits[0]
    assert (teacher.arm, teacher.reused, teacher.epochs, teacher.seconds) == ("teacher", True, 0, 0.0)
    assert teacher.parameters == trained.fits[0].parameters
    assert (tmp_path / "second" / "checkpoints" / "teacher.pt").is_file()
    other = torch.load(tmp_path / "first" / "checkpoints" / "teacher.pt", weights_only=True)
    other["layers.logits.bias"] += 1.0
    torch.save(other, tmp_path / "other.pt")
    third = go(tmp_path / "third", "+arms.soft={}", f"teacher.checkpoint={tmp_path / 'other.pt'}")
    assert third.fits[1].key != loaded.fits[1].key


def test_weights_of_another_network_stop_the_run_before_anything_is_trained(tmp_path):
    checkpoints.save(nn.Linear(2, 2), tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match=r"mine\.pt holds other weights than the network's: it lacks layers"):
        go(tmp_path / "run", "+arms.soft={}", f"teacher.checkpoint={tmp_path / 'mine.pt'}")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_network_of_ones_own_is_built_with_the_arguments_given(tmp_path):
    own = ["model@student.net=own", "student.net._target_=torch.nn.Linear", "+student.net.in_features=2"]
    results = go(tmp_path / "run", "+arms.soft={}", *own, "+student.net.out_features=3")
    assert results.fits[1].parameters == 9


def test_the_results_hold_the_sizes_that_networks_took_from_the_data(tmp_path):
    results = go(tmp_path / "run", "+arms.soft={}", "+model@arms.wide.net=mlp_64", "data.dimension=5")
    for net in (
        results.config["teacher"]["net"],
        results.config["student"]["net"],
        results.config["arms"]["wide"]["net"],
    ):
        assert (net["inputs"], net["outputs"]) == ([5], 3)


def test_without_rows_of_the_test_set_the_test_set_is_not_used(tmp_path, monkeypatch):
    from kdlab.data import BlobsData

    def refuse(self, name):
        assert name != "test"
        return split(self, name)

    split = BlobsData.split
    monkeypatch.setattr(BlobsData, "split", refuse)
    results = go(tmp_path / "run", "+arms.soft={}", "evaluation.splits=[val]")
    assert {row.split for row in results.rows} == {"val", "distribution"}
