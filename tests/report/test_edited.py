"""Files of finished runs and sweeps that somebody edited: an error that names the file, or a report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from kdlab.pipeline import run
from kdlab.report import collect, print_report, print_run, write_report
from kdlab.results import InvalidResults, read
from kdlab.train import CONFIGS

TINY = [
    "+experiment=blobs_unseen", "trainer=cpu", "store=off", "model@teacher.net=mlp_4", "model@student.net=mlp_4",
    "teacher.max_epochs=1", "student.max_epochs=1", "data.train_samples=100",
    "data.val_size=0.2", "data.test_samples=100", "figures=false",
]  # fmt: skip
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "0"
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run(compose("train", TINY), folder)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "sweep" / "0"
    shutil.copytree(finished, folder)
    return folder


Content = dict[str, Any]
Edit = Callable[[Content], object]


def edit(folder: Path, change: Edit) -> None:
    path = folder / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(*place: Any) -> Edit:
    """Return an edit that puts a value, the last argument, at a place; without a value for `...`, it is taken out."""
    *keys, last, value = place

    def change(content: Any) -> None:
        for key in keys:
            content = content[key]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("fits", []), "it has no fits"),
        (put("rows", []), "it has no rows"),
        (put("rows", {}), "Expected `array`, got `object` - at `$.rows`"),
        (put("rows", 0, "value", "many"), "got `str` - at `$.rows[0].value`"),
        (put("rows", 0, "metric", ...), "missing required field `metric` - at `$.rows[0]`"),
        (put("fits", 0, "arm", "../../x"), "at `$.fits[0].arm`"),
        (put("fits", 1, "arm", ""), "at `$.fits[1].arm`"),
        (put("rows", 3, "arm", "/etc/x"), "it has rows, but no fit, of '/etc/x'"),
        (put("held_out_classes", [7]), "held_out_classes=[7]: there are 3 classes"),
        (put("schema_version", 99), "schema_version is 99, this kdlab reads 1 to"),
    ],
)
def test_results_that_are_none_are_refused_with_file_and_key(copy, change, message):
    edit(copy, change)
    with pytest.raises(InvalidResults) as refused:
        read(copy / "results.json")
    assert str(refused.value).startswith(f"{copy / 'results.json'}: ")
    assert message in str(refused.value)
    collection = collect([copy.parent])  # a sweep names and skips them
    assert len(collection.skipped) == 1
    assert "1 failed" in write_report(collection, copy.parent).read_text()


@pytest.mark.parametrize(
    "comparison", [{}, {"source": "x"}, {"source": "x", "dataset": "y", "rows": 3}, [], "x", {"rows": [{"show": 1}]}]
)
def test_a_comparison_that_was_edited_is_refused_by_its_key(copy, comparison):
    edit(copy, put("config", "comparison", comparison))
    with pytest.raises(InvalidResults, match=r"comparison"):
        print_run(read(copy / "results.json"), None, copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".hydra/overrides.yaml", b"a: ["),
        (".hydra/overrides.yaml", b"\xff\xfe\x00"),
        (".hydra/overrides.yaml", b"3"),
        (".hydra/overrides.yaml", DEEP.encode()),
        ("../multirun.yaml", b"hydra: [\n"),
        ("../multirun.yaml", b"\xff\xfe\x00"),
        ("../multirun.yaml", b"hydra: {sweep: 3, sweeper: x}"),
        ("../multirun.yaml", DEEP.encode()),
        ("failure.txt", b"\xff no UTF-8"),
        ("results.json", DEEP.encode()),
    ],
)
def test_one_garbled_file_of_a_sweep_costs_no_other_point_its_report(copy, capsys, name, content):
    shutil.copytree(copy, copy.parent / "1")
    edit(copy.parent / "1", put("config", "seed", 1))
    (copy / ".hydra").mkdir()
    (copy / ".hydra" / "overrides.yaml").write_text("- seed=0\n")
    (copy / name).write_bytes(content)
    if name.startswith(".hydra"):
        (copy / "results.json").unlink()
    collection = collect([copy.parent])
    page = write_report(collection, copy.parent)
    print_report(collection, page, None)
    assert f"{2 - (not name.startswith('..'))} finished" in capsys.readouterr().out
    assert "distilled" in page.read_text()


@pytest.mark.parametrize(
    "change",
    [
        put("config", "question", ["a", "b"]),
        put("config", "question", {"a": 1}),
        put("environment", {"torch": ["2", {}], "threads": None, "gpu": {"a": 1}}),
        put("environment", {}),
        put("environment", "command", [1]),
        put("config", {}),
        put("config", {"data": [], "loss": "x"}),
        put("equations", {}),
    ],
)
def test_a_sweeps_report_takes_what_it_does_not_know(copy, change):
    shutil.copytree(copy, copy.parent / "1")
    edit(copy.parent / "1", put("seed", 1))
    edit(copy.parent / "1", put("config", "seed", 1))
    edit(copy.parent / "1", change)
    page = write_report(collect([copy.parent]), copy.parent)
    assert "2 finished, 0 failed, 0 unfinished" in page.read_text()
