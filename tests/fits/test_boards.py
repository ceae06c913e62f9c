"""What TensorBoard itself, on a port of this machine, finds in a run and in a sweep."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from kdlab.results import read

SMALL = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64", "model@student.net=mlp_30",
    "teacher.max_epochs=1", "student.max_epochs=1", "data.passes_per_epoch=1",
)  # fmt: skip
ARMS = ("teacher", "baseline", "distilled")


class Board:
    """A TensorBoard server on `folder`."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", "0",
                "--load_fast=false", "--reload_interval=1",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self.process.stdout
        said = ""
        for line in self.process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
                break
        else:
            raise AssertionError(said)
        # What it says later must not fill the pipe.
        self.reader = threading.Thread(target=self.process.stdout.read)
        self.reader.start()

    def get(self, path: str, body: dict | None = None):
        """Return what an endpoint answers: JSON, or bytes where it is none."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(
            Request(f"{self.url}/data/{path}", data, {"Content-Type": "application/json"}), timeout=60
        ) as file:
            content = file.read()
            return json.loads(content) if "json" in file.headers["Content-Type"] else content

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.reader.join()
        self.process.stdout.close()


def served(folder: Path, runs: set[str]) -> Iterator[Board]:
    """Yield a server on `folder` that has read these runs, and whatever they hold."""
    board = Board(folder)
    try:
        for _ in range(120):
            # The server reads run after run; a figure's tag is the last that it comes to know.
            if runs <= set(board.get("runs")) and board.get("plugin/images/tags"):
                break
            threading.Event().wait(0.5)
        yield board
    finally:
        board.stop()


@pytest.fixture(scope="module")
def board(illustrated) -> Iterator[Board]:
    yield from served(illustrated, {"tensorboard", *(f"tensorboard/{arm}" for arm in ARMS)})


def test_each_fit_is_a_run_and_the_figures_have_one_of_their_own(board):
    runs = {"tensorboard"} | {f"tensorboard/{arm}" for arm in ARMS}
    assert set(board.get("runs")) == runs


def test_every_fit_has_the_same_scalars_but_for_what_it_cannot_have(board):
    tags = board.get("plugin/scalars/tags")
    common = {
        "train/loss", "train/hard_loss", "train/accuracy", "train/learning_rate", "train/samples_per_second",
        "val/loss", "val/accuracy_seen",
    }  # fmt: skip
    own = {"teacher": set(), "baseline": {"val/accuracy_unseen"}}
    own["distilled"] = own["baseline"] | {"train/soft_loss"}
    for arm in ARMS:
        curve = {tag for tag in tags[f"tensorboard/{arm}"] if not tag.startswith("test/")}
        assert curve == common | own[arm], arm


def test_scalars_are_the_curves_of_the_run(board, illustrated):
    curves = [line.split(",") for line in (illustrated / "curves.csv").read_text().splitlines()[1:]]
    for arm in ARMS:
        for tag in ("train/loss", "val/accuracy_seen", "train/learning_rate", "train/samples_per_second"):
            points = board.get(f"plugin/scalars/scalars?run=tensorboard/{arm}&tag={tag}")
            expected = [(int(epoch), float(value)) for a, epoch, figure, value in curves if (a, figure) == (arm, tag)]
            assert [(step, pytest.approx(value, rel=1e-5)) for _, step, value in points] == expected
    rates = board.get("plugin/scalars/scalars?run=tensorboard/teacher&tag=train/learning_rate")
    assert rates[0][2] > rates[-1][2] > 0  # a cosine, at the first step of each epoch


def test_the_layout_lays_the_arms_over_each_other(board):
    layout = board.get("plugin/custom_scalars/layout")
    charts = {chart["title"]: chart["multiline"]["tag"] for group in layout["category"] for chart in group["chart"]}
    tags = {tag for found in board.get("plugin/scalars/tags").values() for tag in found if not tag.startswith("test/")}
    patterns = [pattern for found in charts.values() for pattern in found]
    assert {tag for tag in tags if any(re.search(pattern, tag) for pattern in patterns)} == tags
    assert all(any(re.search(pattern, tag) for tag in tags) for pattern in patterns)
    (pattern,) = charts["validation, seen classes"]
    for arm in ARMS:
        found = board.get(f"plugin/custom_scalars/scalars?run=tensorboard/{arm}&tag={pattern}")
        assert found["regex_valid"]
        assert len(found["tag_to_events"]["val/accuracy_seen"]) == (6 if arm == "teacher" else 5)


def test_the_figures_are_images_the_same_as_in_the_folder(board, illustrated):
    tags = board.get("plugin/images/tags")["tensorboard"]
    assert set(tags) == {f"figures/{path.stem}" for path in (illustrated / "figures").glob("*.png")}
    assert len(tags) > 8
    for name in ("loss_curves", "misclassified_distilled"):
        ((_, sample),) = enumerate(board.get(f"plugin/images/images?run=tensorboard&tag=figures/{name}"))
        image = board.get(f"plugin/images/individualImage?{sample['query']}")
        assert image == (illustrated / "figures" / f"{name}.png").read_bytes()


def test_the_hparams_tab_has_a_line_for_each_fit_with_its_metrics(board, illustrated):
    asked = {"experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"]}
    experiment = board.get("plugin/hparams/experiment", {"experimentName": ""})
    columns = [{"metric": info["name"]} for info in experiment["metricInfos"]]
    groups = board.get("plugin/hparams/session_groups", asked | {"colParams": columns, "sliceSize": 100})
    results = read(illustrated / "results.json")
    found = {}
    for group in groups["sessionGroups"]:
        values = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
        found[group["hparams"]["arm"]] = values, group["hparams"]
    assert set(found) == set(ARMS)
    for arm, (metrics, hparams) in found.items():
        assert metrics["test/accuracy"] == pytest.approx(results.find(arm, "all", "accuracy").value)
        assert metrics["test/errors"] == results.find(arm, "all", "errors").value
        assert hparams["seed"] == 0
        assert hparams["held_out_classes"] == ("none" if arm == "teacher" else "3")
        assert ("temperature" in hparams) == (arm == "distilled")


def test_the_config_and_the_command_are_there_as_text(board):
    tags = board.get("plugin/text/tags")
    assert {"config/text_summary", "command/text_summary"} <= set(tags["tensorboard"])
    (config,) = board.get("plugin/text/text?run=tensorboard&tag=config/text_summary")
    assert "temperature: 20" in config["text"]
    assert "<code>" in config["text"]
    (own,) = board.get("plugin/text/text?run=tensorboard/distilled&tag=config/text_summary")
    assert "max_epochs: 5" in own["text"]


def test_a_sweep_has_its_figures_its_layout_and_its_report_beside_its_fits(train_in_module, tmp_path):
    done = train_in_module("-m", *SMALL, "loss.temperature=1,4", "hydra.launcher.slots=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "outputs" / "dark_knowledge").glob("sweep_*")
    for board in served(sweep, {"tensorboard"}):
        arms = sorted(run.split("/")[1].split("_")[0] for run in board.get("runs") if run.count("/") == 1)
        assert arms == ["baseline", "distilled", "distilled", "teacher"]
        assert set(board.get("plugin/images/tags")["tensorboard"]) == {"figures/lines_distilled"}
        assert board.get("plugin/custom_scalars/layout")["category"]
        (report,) = board.get("plugin/text/text?run=tensorboard&tag=report/text_summary")
        assert "<table>" in report["text"]
    command = f"python -m kdlab.train -m {' '.join(SMALL)} loss.temperature=1,4"
    assert command in (sweep / "report.html").read_text()
    *_, page, curves = done.stdout.splitlines()
    assert page == f"page:   {sweep.relative_to(tmp_path) / 'report.html'}"
    assert curves == f"curves: tensorboard --logdir {sweep.relative_to(tmp_path)}"
