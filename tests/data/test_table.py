"""Tables: what is read from each kind of file, standardization, refusals; a run, and its student exported."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.config.networks import network_of
from kdlab.data import TableData
from kdlab.pipeline import run
from kdlab.train import CONFIGS


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    kind = np.array(["oak", "elm", "fir"])[random.integers(0, 3, 300)]
    shift = pd.Series(kind).map({"oak": 0.0, "elm": 2.0, "fir": 4.0}).to_numpy()
    return pd.DataFrame(
        {
            "id": [f"tree {i}" for i in range(300)],
            "height": 1000 * (random.normal(size=300) + shift),
            "kind": kind,
            "girth": random.normal(size=300) - shift,
            "same": 7,
        }
    )


def made(**arguments) -> TableData:
    data = TableData(**arguments)
    data.setup()
    return data


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_rows_and_classes_are_those_of_the_file(frame, kind):
    if kind == "csv":
        frame.to_csv("trees.csv", index=False)
        data = made(path="trees.csv", target="kind", drop=["id"])
    else:
        np.savez("trees.npz", X=frame[["height", "girth", "same"]].to_numpy(), y=frame["kind"].to_numpy(dtype=str))
        data = made(path="trees.npz")
    assert (data.name, data.class_names, data.input_shape) == ("trees", ("elm", "fir", "oak"), (3,))
    assert (len(data.train.labels), len(data.test.labels)) == (240, 60)
    rows = torch.cat([data.train.inputs, data.test.inputs])
    labels = torch.cat([data.train.labels, data.test.labels])
    found = {(round(float(r[0]), 2), data.class_names[c]) for r, c in zip(rows, labels.tolist(), strict=True)}
    expected = {(round(float(np.float32(h)), 2), k) for h, k in zip(frame["height"], frame["kind"], strict=True)}
    assert found == expected
    seen = network_of({"_target_": "torch.nn.Identity"}, data.normalization)(data.scale(data.train.inputs))
    torch.testing.assert_close(seen[:, :2].mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[:, :2].std(dim=0, correction=0), torch.ones(2))
    assert (seen[:, 2] == 0).all()


def test_numbers_as_classes_keep_their_order(frame):
    frame.assign(kind=frame["kind"].map({"oak": 10, "elm": 9, "fir": 100})).to_csv("t.csv", index=False)
    assert TableData(path="t.csv", target="kind", drop=["id"]).class_names == ("9", "10", "100")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "path=null: give either a file"),
        ({"path": "trees.csv", "loader": "iris"}, "path=trees.csv: give either"),
        ({"path": "none.csv"}, "path=none.csv: no such file"),
        ({"path": "trees.csv", "target": "kind"}, r"id hold no numbers; make some of them, or data.drop=\[id\]"),
        ({"path": "trees.csv", "target": "sort"}, "target=sort: there is no such column; there are id, height"),
        ({"path": "holes.csv", "target": "kind", "drop": ["id"]}, "girth lack values"),
        ({"path": "trees.csv", "target": "same", "drop": ["id", "kind"]}, "same has one class only, 7"),
        ({"path": "bad.npz"}, "path=bad.npz: cannot be read"),
        ({"loader": "mnist"}, "loader=mnist: must be breast_cancer"),
        ({"loader": "iris", "test_size": 0}, "test_size=0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_what_is_wrong(frame, arguments, problem):
    frame.to_csv("trees.csv", index=False)
    frame.assign(girth=frame["girth"].where(frame["girth"] > -3)).to_csv("holes.csv", index=False)
    Path("bad.npz").write_text("nothing")
    with pytest.raises(ValueError, match=problem):
        TableData(**arguments)


def test_a_student_of_a_table_is_distilled_exported_and_right_on_raw_rows(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    from kdlab.export.__main__ import main as export

    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [
            "+experiment=compress", "data=table", "data.loader=breast_cancer", "model@teacher.net=mlp_64",
            "model@student.net=mlp_4", "augment@teacher.augment=none", "trainer=cpu", "store=off", "figures=false",
        ])  # fmt: skip
    results = run(config, Path("run"))[0]
    assert results.value("distilled", ["all"], "accuracy") > 0.9
    monkeypatch.setattr("sys.argv", ["export", "run"])
    export()
    session = onnxruntime.InferenceSession("run/export/distilled/model.onnx")
    data = made(loader="breast_cancer")
    logits, _ = session.run(None, {session.get_inputs()[0].name: data.test.inputs.numpy()})
    assert (logits.argmax(1) != data.test.labels.numpy()).sum() == results.value("distilled", ["all"], "errors")
