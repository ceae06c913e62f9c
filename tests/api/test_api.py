"""kdlab from Python: run, sweep, load, and the networks that come out of them."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kdlab
from kdlab.api import FinishedRun, FinishedSweep
from kdlab.errors import ConfigError, DataError, KdlabError

TINY = [
    "data=digits", "trainer=cpu", "trainer.precision=32-true", "model@teacher.net=mlp_64", "model@student.net=mlp_30",
    "augment@teacher.augment=none", "teacher.max_epochs=2", "student.max_epochs=2", "figures=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("api")
    return kdlab.run("dark_knowledge", *TINY, f"store.folder={folder}/store", folder=folder / "run")


def test_importing_kdlab_imports_nothing_slow_and_prints_nothing():
    code = "import sys, kdlab; print({'torch', 'hydra', 'pandas', 'lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        kdlab.runs  # noqa: B018


def test_a_run_prints_as_its_table_and_in_a_notebook_as_html(finished):
    text, html = repr(finished), finished._repr_html_()
    assert "distilled errors on unseen, prior" in text
    assert f"found: {finished.finding}" in text
    assert "<td>distilled errors on unseen, prior</td>" in html


def test_the_frame_holds_every_row(finished):
    frame = finished.frame()
    assert list(frame) == ["arm", "split", "classes", "correction", "metric", "value", "n"]
    assert len(frame) == len(finished.results.rows)
    errors = frame.query("arm == 'teacher' and split == 'test' and classes == 'all' and metric == 'errors'")
    assert errors.value.item() == finished.results.find("teacher", "all", "errors").value


def test_the_claims_of_a_run_are_one_draw_each(finished):
    claims = finished.claims
    assert list(claims["verdict"]) == ["one draw"] * len(finished.results.config["claims"])
    first = claims.iloc[0]
    assert first["claim"] == "The distilled student knows the digit that it never saw"
    assert first["mean"] == pytest.approx(finished.results.find("distilled", "unseen", "accuracy").value)
    assert first["sample_low"] < first["mean"] < first["sample_high"]


def test_a_run_says_nothing_but_its_progress_and_leaves_logging_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = list(logging.getLogger("kdlab").handlers), logging.getLogger("kdlab").level
    first = kdlab.run("dark_knowledge", *TINY)
    with pytest.raises(ConfigError, match=r"loss\.temperature=0"):
        kdlab.run("dark_knowledge", *TINY, "loss.temperature=0")
    second = kdlab.run("dark_knowledge", *TINY)
    assert (list(logging.getLogger("kdlab").handlers), logging.getLogger("kdlab").level) == before
    assert capsys.readouterr().out == ""
    assert second.results.rows == first.results.rows
    assert all(fit.reused for fit in second.results.fits)
    assert sorted(path.name for path in Path("outputs").iterdir()) == ["dark_knowledge", "store"]
    assert len(list(Path("outputs/dark_knowledge").iterdir())) == 2
    command = first.results.environment["command"]
    assert command.startswith("python -m kdlab.train +experiment=dark_knowledge data=digits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dark_knowlege"], "(?s)Could not find 'experiment/dark_knowlege'.*experiments: blobs_targets"),
        (["data=digits"], "data=digits: the first argument names an experiment; there are blobs_targets"),
        (["dark_knowledge", "loss.temprature=3"], "Could not override 'loss.temprature'"),
    ],
)
def test_a_mistake_is_one_error_and_leaves_no_folder(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        kdlab.run(*arguments)
    assert not list(tmp_path.iterdir())


def test_a_loaded_run_has_the_same_rows_and_networks_that_need_no_data(finished, tmp_path, monkeypatch):
    loaded = kdlab.load(finished.folder)
    assert loaded.results == finished.results
    assert list(loaded.networks) == ["teacher", "baseline", "distilled"]
    from kdlab.data import DigitsData

    digits = DigitsData()
    digits.setup()
    monkeypatch.setattr(DigitsData, "read", None)
    network = loaded.networks["distilled"]
    assert not network.training
    right = network(digits.test.inputs).argmax(dim=1) == digits.test.labels
    row = loaded.results.find("distilled", "all", "accuracy")
    assert right.float().mean().item() == pytest.approx(row.value)
    with pytest.raises(KeyError, match="student: there are teacher, baseline, distilled"):
        loaded.networks["student"]
    with pytest.raises(KdlabError, match="holds no finished run"):
        kdlab.load(tmp_path)


def test_an_image_file_is_predicted_as_the_array_that_it_holds_is(finished, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    network = finished.networks["teacher"]
    of_file, of_array = network.predict([tmp_path / "digit.png"]), network.predict(pixels[None, None])
    assert list(of_file) == [str(c) for c in range(10)]
    assert list(of_file.index) == [str(tmp_path / "digit.png")]
    assert of_file.to_numpy() == pytest.approx(of_array.to_numpy())
    assert of_file.to_numpy().sum() == pytest.approx(1)
    in_unit_range = network.predict(pixels[None, None].astype(np.float32) / 255)
    assert in_unit_range.to_numpy() == pytest.approx(of_array.to_numpy(), abs=1e-6)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png cannot be read"):
        network.predict(tmp_path / "broken.png")


def test_normalized_images_are_normalized_outside_of_the_run_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for c in ("dark", "light"):
        for i in range(20):
            folder = tmp_path / "images" / c
            folder.mkdir(parents=True, exist_ok=True)
            shade = (40 if c == "dark" else 180) + torch.randint(0, 60, (8, 8, 3), generator=generator)
            Image.fromarray(shade.to(torch.uint8).numpy()).save(folder / f"{i}.png")
    own = [
        "data=image_folder", "data.root=images", "data.image_size=8", "data.val_size=4", "data.held_out_classes=[]",
        "model@teacher.net=linear", "model@student.net=linear", "+arms.distilled={}", "name=mine", "store=off",
    ]  # fmt: skip
    run = kdlab.run(None, *own, "trainer=cpu", "teacher.max_epochs=3", "student.max_epochs=3", "figures=false")
    files = sorted(Path("images").rglob("*.png"))
    network = kdlab.load(run.folder).networks["teacher"]
    assert run.results.inputs.scaling.mean is not None
    told = network.predict(files).idxmax(axis=1)
    truth = [path.parent.name for path in files]
    assert (told == truth).mean() == pytest.approx(1, abs=0.1)


def test_a_sweep_has_its_points_as_frames_and_goes_on_when_given_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    grid = ["dark_knowledge", *TINY, "loss.temperature=1,4", "hydra.launcher.slots=1"]
    swept = kdlab.sweep(*grid)
    assert isinstance(swept, FinishedSweep)
    assert len(swept.runs) == 2
    assert "2 points" in capsys.readouterr().out
    frame = swept.frame()
    assert set(frame["loss.temperature"]) == {1, 4}
    assert len(frame) == sum(len(run.results.rows) for run in swept.runs)
    assert swept.page == swept.folder / "report.html"
    assert "is the best of 2 points" in repr(swept)
    assert "<table" in swept._repr_html_()
    again = kdlab.sweep(*grid)
    assert again.folder == swept.folder
    assert "2/2 done, 2 reused" in capsys.readouterr().out
