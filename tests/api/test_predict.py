"""`python -m kdlab.predict`: classes of image files, by name."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from kdlab.config.compose import CONFIGS
from kdlab.measure.reopen import reopen
from kdlab.pipeline import run
from kdlab.predict import __main__ as predict

RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "store.folder=null", "model@teacher.net=mlp_64",
    "model@student.net=mlp_30", "teacher.max_epochs=3", "student.max_epochs=3", "figures=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("predicted"))
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            run(compose("train", list(RUN)), Path.cwd() / "run")
        return Path.cwd() / "run"


def call(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    predict.main()


def test_image_files_get_the_classes_that_the_network_gives_the_same_pixels(finished, tmp_path, monkeypatch, capsys):
    _, context, fits = reopen(finished)
    images = context.data.test.inputs[:4]
    monkeypatch.chdir(tmp_path)
    paths = [Path(f"{i}.png") for i in range(4)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0].numpy()).save(path)
    call(monkeypatch, finished, *paths, "--csv")
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert lines[0] == ["image", *map(str, range(10))]
    found = np.array([line[1:] for line in lines[1:]], float)
    expected = context.logits(fits["distilled"].net, images).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    call(monkeypatch, finished, paths[0], "--arm", "teacher")
    shown = capsys.readouterr().out
    assert "by teacher" in shown
    best = int(context.logits(fits["teacher"].net, images[:1]).argmax())
    (line,) = (line for line in shown.splitlines() if line.startswith("0.png"))
    assert line.split()[2] == str(best)


def test_what_is_wrong_is_said_in_a_line(finished, tmp_path, monkeypatch):
    for arguments, problem in (
        ((finished, tmp_path / "gone.png"), "gone.png cannot be read: there is no such file"),
        ((finished, "x.png", "--arm", "gone"), "--arm gone: there are teacher, baseline, distilled"),
        ((tmp_path, "x.png"), "holds no finished run"),
    ):
        with pytest.raises(SystemExit) as stopped:
            call(monkeypatch, *arguments)
        assert problem in str(stopped.value.code)
        assert "\n" not in str(stopped.value.code)
