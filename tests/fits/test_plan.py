"""What a fit's content key depends on, asked of whole configs: every choice there is stands in the list below."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from kdlab.config.read import read
from kdlab.data import load
from kdlab.fits import plan, weights
from kdlab.fits.plan import Plan, new_network, plan_fits
from kdlab.models import MLP
from kdlab.pipeline import context_of
from kdlab.train import CONFIGS

BASE = [
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "trainer.precision=32-true",
    "model@teacher.net=mlp_30", "model@student.net=mlp_4", "teacher.batch_size=null", "+arms.hard.targets=teacher_hard",
]  # fmt: skip
BLOBS = ["data.val_size=0.1", "data.held_out_classes=[1]", "augment@teacher.augment=none"]
TEACHER, LABELS, SOFT, HARD = "teacher", "baseline", "distilled", "hard"
ALL, STUDENTS, TAUGHT = {TEACHER, LABELS, SOFT, HARD}, {LABELS, SOFT, HARD}, {SOFT, HARD}


def plans(*overrides: str) -> dict[str, Plan]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*BASE, *overrides])
    experiment = read(config)
    load(experiment.data)
    context = context_of(experiment, Path(), began=0.0, sweep=None)
    return plan_fits(experiment.recipes, context)


def keys(*overrides: str) -> dict[str, str]:
    return {name: plan.key for name, plan in plans(*overrides).items()}


@pytest.fixture(scope="module")
def base() -> dict[str, str]:
    return keys()


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        # the loss: of those who minimize it
        ("loss.temperature=3", {SOFT}),
        ("loss.alpha=0.3", {SOFT}),
        ("loss=logit_mse", {SOFT}),
        ("loss=cross_entropy", {SOFT}),
        # the students' recipe: of the students
        ("optimizer.lr=0.07", TAUGHT),  # the baseline has its own
        ("+every_arm.optimizer.lr=0.07", STUDENTS),
        ("optimizer=adam", STUDENTS),
        ("optimizer.momentum=0.5", STUDENTS),
        ("schedule=constant", STUDENTS),
        ("schedule.warmup=0.2", STUDENTS),
        ("model@student.net=linear", STUDENTS),
        ("student.net.hidden_dropout=0.2", STUDENTS),
        ("augment@student.augment=jitter", STUDENTS),
        ("student.max_epochs=3", STUDENTS),
        ("student.batch_size=64", STUDENTS),
        ("student.patience=2", STUDENTS),
        ("student.seed=5", STUDENTS),
        ("data.held_out_classes=[4]", STUDENTS),
        ("+arms.distilled.optimizer.lr=0.07", {SOFT}),
        # the teacher's recipe: of the teacher and of those it teaches
        ("teacher.optimizer.lr=0.07", {TEACHER} | TAUGHT),
        ("optimizer@teacher.optimizer=adam", {TEACHER} | TAUGHT),
        ("schedule@teacher.schedule=constant", {TEACHER} | TAUGHT),
        ("model@teacher.net=mlp_64", {TEACHER} | TAUGHT),
        ("augment@teacher.augment=none", {TEACHER} | TAUGHT),
        ("teacher.max_epochs=3", {TEACHER} | TAUGHT),
        ("teacher.batch_size=64", {TEACHER} | TAUGHT),
        ("teacher.patience=2", {TEACHER} | TAUGHT),
        ("teacher.seed=5", {TEACHER} | TAUGHT),
        # what all share
        ("seed=5", ALL),
        ("data.batch_size=64", ALL),
        ("data.val_size=0.2", ALL),
        ("data.split_seed=3", ALL),
        ("data.passes_per_epoch=2", ALL),
        ("data=blobs", ALL),
        ("trainer.precision=bf16-mixed", ALL),
        ("trainer.deterministic=warn", ALL),
        # the teacher's images are jittered, and the students' do not divide by two
        ("trainer.devices=2", ALL),
        # nothing: what a run is called, what it measures, writes and keeps
        ("name=other", set()),
        ("evaluation.splits=[train]", set()),
        ("evaluation.cost=true", set()),
        ("evaluation.prior_offsets=shared", set()),
        ("evaluation.reference=teacher", set()),
        ("comparison=null", set()),
        ("claims=[]", set()),
        ("tuning=null", set()),
        ("reproduction=null", set()),
        ("figures=false", set()),
        ("logger=csv", set()),
        ("question=why", set()),
        ("store=off", set()),
        ("store.folder=elsewhere", set()),
        ("store.refresh=true", set()),
        ("trainer=auto", set()),
        ("trainer.stack=off", set()),
        ("data.fallback=digits", set()),
        ("+arms.another={}", set()),
    ],
)
def test_a_key_changes_with_what_changes_the_fit_and_with_nothing_else(base, override, changed):
    extra = BLOBS if override == "data=blobs" else []
    extra += ["+every_arm.optimizer.lr=0.01"] if override == "optimizer=adam" else []
    now = keys(override, *extra)
    assert {arm for arm in base if now[arm] != base[arm]} == changed


def test_bayes_targets_change_the_fits_that_learn_from_them():
    before, now = keys("data=blobs", *BLOBS), keys("data=blobs", *BLOBS, "student.targets=bayes_soft")
    assert {arm for arm in before if now[arm] != before[arm]} == {SOFT}


def test_every_key_of_the_config_is_in_the_lists_above():
    """A new key must be added to one of them."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", BASE)
    listed = {mark.args[1][i][0] for mark in _marks() for i in range(len(mark.args[1]))}
    named = {name.partition("=")[0].lstrip("+").partition("@")[-1] or name.partition("=")[0] for name in listed}
    for section in ("data", "trainer", "evaluation", "store"):
        for key in config[section]:
            assert key in ("_target_", "accelerator") or any(name == f"{section}.{key}" for name in named), key
    for key in set(config) - {"data", "teacher", "teachers", "student", "trainer", "evaluation", "arms"}:
        assert any(name.lstrip("+").partition(".")[0] == key for name in named), key


def _marks():
    return test_a_key_changes_with_what_changes_the_fit_and_with_nothing_else.pytestmark


def test_identical_arms_have_one_key_whatever_they_are_called(base):
    assert keys("+arms.another={}")["another"] == base["distilled"]


def test_given_weights_are_known_by_what_they_are_not_by_where_they_lie(tmp_path):
    net = MLP(inputs=[1, 28, 28], widths=[30, 30], outputs=10)
    for name in ("a.pt", "b.pt"):
        weights.save(net, tmp_path / name)
    first, second = keys(f"teacher.checkpoint={tmp_path}/a.pt"), keys(f"teacher.checkpoint={tmp_path}/b.pt")
    assert first == second
    with torch.no_grad():
        next(net.parameters()).add_(1)
    weights.save(net, tmp_path / "b.pt")
    changed = keys(f"teacher.checkpoint={tmp_path}/b.pt")
    assert {arm for arm in first if changed[arm] != first[arm]} == {"teacher", "distilled", "hard"}


def test_the_same_images_in_another_folder_have_the_same_keys(tmp_path):
    for c in ("cat", "dog"):
        (tmp_path / "one" / c).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (8, 8), (i * 20, 40 if c == "cat" else 200, 0)).save(tmp_path / "one" / c / f"{i}.png")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    settings = ["data=image_folder", "data.image_size=8", "data.val_size=4", "data.held_out_classes=[]"]
    one, two = (keys(*settings, f"data.root={tmp_path / name}") for name in ("one", "two"))
    assert one == two
    for image in (tmp_path / "two" / "cat").iterdir():
        Image.new("RGB", (8, 8)).save(image)
    assert not set(one.values()) & set(keys(*settings, f"data.root={tmp_path / 'two'}").values())


class Looking(MLP):
    """A network whose constructor reads its own weights."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.scale = float(next(self.parameters()).detach().abs().max())


def test_a_plan_builds_no_weights_until_they_are_asked_for(monkeypatch):
    built: list[Any] = []
    monkeypatch.setattr(plan, "new_network", lambda *given: built.append(given) or new_network(*given))
    found = plans()["distilled"]
    assert built == []
    assert all(value.is_meta for value in found.outline.parameters())
    expected = new_network(found.recipe.net, found.seed, None)
    assert all(map(torch.equal, found.net.parameters(), expected.parameters()))
    assert found.net is found.net


def test_a_network_that_reads_its_weights_while_it_is_built_can_be_planned():
    found = plans(f"student.net._target_={__name__}.Looking")["distilled"]
    assert found.outline.scale == found.net.scale > 0
