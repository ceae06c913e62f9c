"""Trackers get each fit once, with its whole curve, its settings and its rows, and the page; none can fail a run."""

import csv
import importlib.util
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from lightning.pytorch.loggers import CSVLogger
from mlflow import MlflowClient

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read as read_config
from kdlab.curves import read_curves
from kdlab.errors import ConfigError
from kdlab.pipeline import run
from kdlab.results import Results, read

# The trackers' packages warn of each other's versions.
pytestmark = pytest.mark.filterwarnings("ignore")
RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_4", "model@student.net=mlp_4",
    "teacher.max_epochs=2", "student.max_epochs=3",
)  # fmt: skip
ARMS = ["baseline", "distilled", "teacher"]


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*RUN, *overrides])


def go(folder: str, *overrides: str, sweep: Path | None = None) -> Results:
    return run(composed(*overrides), Path(folder), sweep=sweep).results


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Path:
    """A folder with a run, `run`, that four trackers were told of."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in {
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "TRACKIO_DIR": f"{folder}/trackio",
        }.items():
            patch.setenv(name, value)
        go("run", "logger=[csv,mlflow,wandb]")
        if importlib.util.find_spec("trackio"):
            go("again", "logger=trackio")
    return folder


def curve_of(folder: Path, arm: str, figure: str) -> list[float]:
    return [value for _, name, value in read_curves(folder / "run" / "curves.csv")[arm] if name == figure]


def accuracy_of(folder: Path, arm: str) -> float:
    row = read(folder / "run" / "results.json").find(arm, "unseen", "accuracy", "none")
    return row.value


@pytest.mark.parametrize("arm", ARMS)
def test_csv_files_hold_curve_and_rows(tracked, arm):
    with (tracked / "run" / "csv" / arm / "metrics.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    losses = [float(line["train/loss"]) for line in lines if line["train/loss"]]
    assert losses == pytest.approx(curve_of(tracked, arm, "train/loss"))
    (accuracy,) = (float(line["test/accuracy_unseen"]) for line in lines if line["test/accuracy_unseen"])
    assert accuracy == pytest.approx(accuracy_of(tracked, arm))
    assert ("test/accuracy_unseen_prior" in lines[0]) == (arm != "teacher")
    assert "content_key:" in (tracked / "run" / "csv" / arm / "hparams.yaml").read_text()


def test_mlflow_has_a_run_for_each_fit_and_one_for_the_page(tracked, monkeypatch):
    monkeypatch.chdir(tracked)
    client = MlflowClient("sqlite:///outputs/mlflow.db")
    experiment = client.get_experiment_by_name("dark_knowledge")
    runs = {it.info.run_name: it for it in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == sorted([*ARMS, "page_run"])
    for arm in ARMS:
        told = [it.value for it in client.get_metric_history(runs[arm].info.run_id, "train/loss")]
        assert told == pytest.approx(curve_of(tracked, arm, "train/loss"))
        assert runs[arm].data.metrics["test/accuracy_unseen"] == pytest.approx(accuracy_of(tracked, arm))
        assert runs[arm].data.params["arm"] == arm
        assert runs[arm].data.tags["group"] == "run"
        assert runs[arm].info.status == "FINISHED"
    assert [it.path for it in client.list_artifacts(runs["page_run"].info.run_id)] == ["report.html"]


def test_wandb_has_a_run_for_each_fit_and_one_for_the_page_without_a_network(tracked):
    runs = sorted((tracked / "outputs" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(runs) == 4
    assert all(path.stat().st_size for path in runs)


@pytest.mark.skipif(
    not importlib.util.find_spec("trackio"), reason="pip install 'kdlab[trackio]': wants an older Pillow"
)
def test_trackio_has_a_run_for_each_fit(tracked):
    (path,) = (tracked / "trackio").glob("kdlab*.db")
    with sqlite3.connect(path) as base:
        found = dict(base.execute("select run_name, count(*) from metrics group by run_name"))
    assert {arm: count for arm, count in found.items() if arm in ARMS} == {"baseline": 4, "distilled": 4, "teacher": 3}


def test_reused_fits_are_told_like_trained_ones():
    go("first", "figures=false")
    go("second", "logger=csv", "figures=false")
    for arm in ARMS:
        with Path(f"second/csv/{arm}/metrics.csv").open(newline="") as file:
            assert len([line for line in csv.DictReader(file) if line["train/loss"]]) == (2 if arm == "teacher" else 3)


def test_a_fit_of_several_points_of_a_sweep_is_told_once():
    sweep = Path("sweep")
    for number, temperature in enumerate((1, 2)):
        go(f"sweep/{number}", f"loss.temperature={temperature}", "logger=csv", "figures=false", sweep=sweep)
    names = sorted(path.name.partition("_")[0] for path in (sweep / "csv").iterdir())
    assert names == ["baseline", "distilled", "distilled", "teacher"]


class Failing(CSVLogger):
    """A logger whose service is down."""

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route to host")


def test_a_logger_that_fails_costs_the_run_nothing_and_the_others_are_told(caplog):
    failing = f"+logger.down={{_target_:{__name__}.Failing,save_dir:'{{folder}}',version:'{{fit}}'}}"
    assert go("run", failing, "logger=csv", "figures=false").fits
    assert Path("run/results.json").exists()
    assert Path("run/csv/teacher/metrics.csv").exists()
    (line,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert line == "logger.down failed, which costs the run nothing: ConnectionError: no route to host"
    go("again", failing.replace("Failing", "CSVLogger").replace(__name__, "lightning.pytorch.loggers"), "figures=false")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "+logger.x={_target_:torch.nn.Identity}",
            "logger.x: makes a Identity; a logger of lightning.pytorch.loggers is",
        ),
        ("+logger.x={_target_:gone.Logger}", "logger.x._target_=gone.Logger: no such class or function"),
        ("+logger.x=3", "logger={'x': 3}: must be loggers by name, each with a _target_"),
    ],
)
def test_what_is_no_logger_is_refused_before_anything_is_trained(override, problem):
    with pytest.raises(ConfigError) as caught:
        read_config(composed(override))
    (line,) = caught.value.problems
    assert problem in line


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr("kdlab.trackers.trackio.import_module", lambda name: __import__("gone_" + name))
    with pytest.raises(ConfigError, match=r"logger.trackio: a package is missing: pip install 'kdlab\[trackio\]'"):
        read_config(composed("logger=trackio"))
