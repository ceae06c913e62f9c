"""The story of one experiment: where targets and weights come from, and what depends on what."""

import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from msgspec.structs import replace
from torch import nn

from kdlab.errors import ConfigError, DataNotFound, FitsFailed
from kdlab.files import write_sums
from kdlab.fits import train
from kdlab.fits import weights as weight_files
from kdlab.fits.weights import CheckpointError
from kdlab.outcome import reason
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.store import FILES, Entry, Store
from kdlab.train import CONFIGS

BLOBS = [
    "data=blobs", "data.classes=3", "trainer=cpu", "optimizer=adam", "optimizer.lr=0.01", "name=x",
    "model@teacher.net=mlp_64", "model@student.net=mlp_4", "teacher.max_epochs=3", "student.max_epochs=3",
    "data.train_samples=300", "data.test_samples=500", "figures=false",
]  # fmt: skip


def go(folder: Path, *overrides: str, store: Path | None = None) -> Results:
    folder.mkdir(exist_ok=True)
    kept_in = f"store.folder={store}" if store else "store=off"
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*BLOBS, kept_in, *overrides])
    return run(config, folder)[0]


def of(results: Results, arm: str) -> list[tuple]:
    return [(r.classes, r.correction, r.metric, r.value) for r in results.rows if r.arm == arm]


SMALL = ("data.classes=2", "teacher.max_epochs=1", "student.max_epochs=1", "+arms.distilled={}")
ARMS = [
    f"+arms.{name}.targets={name}" for name in ("truth", "teacher_hard", "teacher_soft", "bayes_hard", "bayes_soft")
]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return go(tmp_path_factory.mktemp("five") / "run", *ARMS)


def test_each_of_the_five_targets_makes_another_student(five):
    assert len({str(of(five, arm)) for arm in five.config["arms"]}) == 5
    assert len({fit.key for fit in five.fits}) == 6


def test_points_of_a_sweep_share_what_one_of_them_has_read_and_later_commands_read_anew(
    tmp_path, mnist_folder, monkeypatch
):
    monkeypatch.delenv("KDLAB_DATA_DIR", raising=False)

    def point(number: int, began: float, *overrides: str) -> Results:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("train", [*SMALL[1:], "trainer=cpu", f"data.root={mnist_folder}", "store=off", *overrides])
        return run(config, tmp_path / "sweep" / str(number), began=began, sweep=tmp_path / "sweep")[0]

    small = ("name=x", "model@teacher.net=mlp_4", "model@student.net=mlp_4", "data.val_size=20", "data.fallback=null")
    first = point(0, 1.0, *small)
    shutil.rmtree(mnist_folder / "MNIST")
    assert point(1, 1.0, *small, "loss.temperature=2").environment["data"] == first.environment["data"]
    with pytest.raises(DataNotFound):
        point(2, 2.0, *small)


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
    weight_files.save(nn.Linear(2, 2), tmp_path / "mine.pt")
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


# With a store.


def kept(folder: Path) -> list[Path]:
    return [entry.folder for entry in Store(folder).entries()]


def test_a_second_run_takes_its_fits_from_the_store_and_finds_the_same(tmp_path):
    first = go(tmp_path / "first", *ARMS, store=tmp_path / "store")
    second = go(tmp_path / "second", *ARMS, store=tmp_path / "store")
    assert not any(fit.reused for fit in first.fits)
    assert all(fit.reused for fit in second.fits)
    assert second.rows == first.rows
    assert [replace(fit, reused=False) for fit in second.fits] == first.fits
    for name in ("curves.csv", "confusion.csv", "checkpoints/truth.pt"):
        assert (tmp_path / "second" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert len(kept(tmp_path / "store")) == 6


def test_another_temperature_trains_the_softly_taught_alone(tmp_path):
    arms = ["+arms.baseline.targets=truth", "+arms.distilled={}"]
    go(tmp_path / "first", *arms, store=tmp_path / "store")
    second = go(tmp_path / "second", *arms, "loss.temperature=9", store=tmp_path / "store")
    assert [fit.reused for fit in second.fits] == [True, True, False]


def test_identical_arms_are_trained_once(tmp_path):
    results = go(tmp_path / "run", "+arms.one={}", "+arms.two={}", store=tmp_path / "store")
    assert [fit.reused for fit in results.fits] == [False, False, True]
    assert of(results, "one") == of(results, "two")


def of_another_shape(entry: Entry) -> None:
    weight_files.save(nn.Linear(2, 2), entry.weights)
    write_sums(entry.folder, FILES)


def no_json(entry: Entry) -> None:
    (entry.folder / "config.json").write_text("no JSON")
    write_sums(entry.folder, FILES)


def flipped(entry: Entry) -> None:
    content = entry.weights.read_bytes()
    entry.weights.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])


def dangling(entry: Entry) -> None:
    shutil.rmtree(entry.folder)
    entry.folder.symlink_to("nowhere")


def test_damaged_fits_are_reported_and_trained_anew_to_the_same_weights(tmp_path, caplog):
    """Six fits, each damaged otherwise, are all mended by one run."""
    arms = (*ARMS, "trainer.stack=off")  # a stack's weights differ by rounding
    store = Store(tmp_path / "store")
    first = go(tmp_path / "first", *arms, store=store.folder)
    sound = {entry.key: entry.weights.read_bytes() for entry in store.entries()}
    faults = [
        of_another_shape, no_json, flipped, dangling,
        lambda entry: entry.weights.write_bytes(entry.weights.read_bytes()[:-100]),
        lambda entry: (entry.folder / "SHA256SUMS").write_bytes(b""),
    ]  # fmt: skip
    for fault, entry in zip(faults, store.entries(), strict=True):
        fault(entry)
    second = go(tmp_path / "second", *arms, store=store.folder)
    assert caplog.text.count("is damaged and will be trained anew: ") == 6
    assert not any(fit.reused for fit in second.fits)
    assert {entry.key: entry.weights.read_bytes() for entry in store.entries()} == sound
    assert second.rows == first.rows


@pytest.mark.parametrize("content", [{}, [1, 2], "a state_dict", "of another fit", b"\x80\x02 something else"], ids=str)
def test_a_foreign_checkpoint_is_reported_and_the_fit_starts_anew(tmp_path, caplog, content):
    store = Store(tmp_path / "store")
    first = go(tmp_path / "first", *SMALL, store=store.folder)
    key = first.fits[1].key
    store.remove(store.entry(key).folder)
    checkpoint = store.checkpoint(key)
    parts = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "epoch", "global_step", "curve")
    other = nn.Linear(2, 2).state_dict()
    if content == "of another fit":
        content = {"state_dict": other, **dict.fromkeys(parts, 0)}
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    else:
        torch.save(other if content == "a state_dict" else content, checkpoint)
    second = go(tmp_path / "second", *SMALL, store=store.folder)
    assert f"{checkpoint} cannot be read; the fit starts anew" in caplog.text
    assert second.rows == first.rows
    assert store.interrupted() == []


def test_a_fit_that_diverges_in_its_last_step_is_named_and_not_kept(tmp_path):
    step = ("data.batch_size=100000", "teacher.optimizer.lr=1e38")
    with pytest.raises(FitsFailed, match=r"teacher: the training diverged: its validation loss is .* in epoch 1; a"):
        go(tmp_path / "run", *SMALL, *step, store=tmp_path / "store")
    # Without validation samples, the logits tell.
    with pytest.raises(FitsFailed, match=r"teacher: the training diverged: its \w+ are not finite after the"):
        go(tmp_path / "run", *SMALL, *step, "data.val_size=0", store=tmp_path / "store")
    assert kept(tmp_path / "store") == []
    assert Store(tmp_path / "store").interrupted() == []


def test_a_store_that_cannot_be_made_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"store\.folder=.*: cannot be made: .*file is a file"):
        go(tmp_path / "run", "+arms.distilled={}", store=tmp_path / "file" / "below")
    assert not list((tmp_path / "run").iterdir())


# When something fails.


def test_when_an_arm_diverges_the_others_have_rows_and_a_page_and_a_rerun_tries_it_again(tmp_path):
    arms = [*SMALL, "+arms.bad.optimizer.lr=1e30", "+arms.after.teacher=bad", "figures=true"]
    results = go(tmp_path / "run", *arms, store=tmp_path / "store")
    assert {row.arm for row in results.rows} == {"bayes", "teacher", "distilled"}
    assert list(results.failed) == ["bad", "after"]
    assert results.failed["bad"].startswith("bad: the training diverged")
    assert results.failed["after"] == "after: not trained, since bad failed"
    assert results.failed["bad"].split(";")[0] in (tmp_path / "run" / "report.html").read_text()
    assert len(kept(tmp_path / "store")) == 2
    again = go(tmp_path / "run", *arms, store=tmp_path / "store")
    assert again.failed == results.failed
    assert [fit.reused for fit in again.fits] == [True, True]


def test_when_the_teacher_diverges_the_run_fails_for_its_reason(tmp_path):
    with pytest.raises(FitsFailed, match=r"teacher: the training diverged.*\ndistilled: not trained"):
        go(tmp_path / "run", *SMALL, "teacher.optimizer.lr=1e30")
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_finished_run_that_lost_a_file_is_made_anew_from_the_store(tmp_path):
    first = go(tmp_path / "run", *SMALL, store=tmp_path / "store")
    for lost in ("checkpoints/distilled.pt", "curves.csv", "confusion.csv", "SHA256SUMS"):
        for spoil in (lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])):
            path = tmp_path / "run" / lost
            content = path.read_bytes()
            spoil(path)
            again = go(tmp_path / "run", *SMALL, store=tmp_path / "store")
            assert path.read_bytes() == content
            assert again.rows == first.rows
            assert all(fit.reused for fit in again.fits)


STAGES = {
    "data": "kdlab.data.blobs.BlobsData.read",
    "plan": "kdlab.pipeline.plan_fits",
    "evaluation": "kdlab.pipeline.measure_networks",
    "results": "kdlab.pipeline.write_curves",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_in_a_stage_names_it_and_what_was_finished_is_kept(tmp_path, monkeypatch, stage):
    def fail(*_, **__):
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(STAGES[stage], fail)
        with pytest.raises(RuntimeError) as error:
            go(tmp_path / "run", *SMALL, store=tmp_path / "store")
    assert reason(error.value) == f"RuntimeError: a fault (kdlab failed at this stage: {stage})"
    fits = 2 if stage in ("evaluation", "results") else 0
    assert len(kept(tmp_path / "store")) == fits
    again = go(tmp_path / "run", *SMALL, store=tmp_path / "store")
    assert sum(fit.reused for fit in again.fits) == fits


@pytest.mark.parametrize("name", ["teacher", "distilled"])
def test_a_fault_in_a_fit_names_it_and_what_was_finished_is_kept(tmp_path, monkeypatch, name):
    def fail(fitted, *arguments, **settings):
        if fitted == name:
            raise RuntimeError("a fault")
        return fit(fitted, *arguments, **settings)

    fit = train.fit
    with monkeypatch.context() as patched:
        patched.setattr(train, "fit", fail)
        with pytest.raises(FitsFailed, match=f"{name}: failed by RuntimeError: a fault"):
            go(tmp_path / "run", *SMALL, store=tmp_path / "store")
    assert len(kept(tmp_path / "store")) == (name == "distilled")


def test_a_fault_in_a_figure_costs_the_page_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("kdlab.report.run.figures_of", lambda *_: 1 / 0)
    results = go(tmp_path / "run", *SMALL, "figures=true")
    assert {fit.arm for fit in results.fits} == {"teacher", "distilled"}
    assert not (tmp_path / "run" / "report.html").exists()
    assert "the figures could not be drawn" in caplog.text
