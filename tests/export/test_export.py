"""An exported network: the same answers, to the last image, in programs that know nothing of kdlab."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file, save_file

from kdlab.config.compose import CONFIGS
from kdlab.errors import KdlabError
from kdlab.export import __main__ as command
from kdlab.export.__main__ import export
from kdlab.export.deployed import student_of
from kdlab.pipeline import run
from kdlab.results import read

RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "trainer.precision=32-true", "store.folder=null",
    "model@teacher.net=mlp_64", "model@student.net=mlp_30", "teacher.max_epochs=4", "student.max_epochs=4",
    "figures=false",
)  # fmt: skip
# What a user's program would do: no kdlab, no torch.
WITHOUT_KDLAB = """
import json, sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
data = numpy.load(sys.argv[2])
logits, probabilities = session.run(None, {"images": data["images"]})
assert abs(probabilities.sum(axis=1) - 1).max() < 1e-5
assert not {"kdlab", "torch"} & set(sys.modules)
print(int((logits.argmax(axis=1) != data["labels"]).sum()), len(names))
"""
LOADED = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy, torch
from load import load
data = numpy.load(sys.argv[2])
logits, _ = load()(torch.from_numpy(data["images"]))
assert "kdlab" not in sys.modules
print(int((logits.argmax(dim=1).numpy() != data["labels"]).sum()))
"""


def trained(folder: Path, *overrides: str) -> Path:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run(compose("train", [*RUN, *overrides]), folder)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("exported"))
        return trained(Path.cwd() / "run")


@pytest.fixture(scope="module")
def written(finished) -> Path:
    """The folder of an export in all formats, with the correction inside."""
    target = finished / "export" / "distilled"
    export(student_of(finished, None, "prior"), target, formats=["onnx", "torch", "safetensors"], int8=True)
    return target


@pytest.fixture(scope="module")
def test_set(finished) -> Path:
    student = student_of(finished, None, "none")
    path = finished / "test.npz"
    np.savez(path, images=student.raw("test").numpy(), labels=student.labels("test").numpy())
    return path


def errors_of(finished: Path, correction: str = "prior", arm: str = "distilled") -> int:
    row = read(finished / "results.json").find(arm, "all", "errors", correction)
    return int(row.value)


def said(program: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


def test_a_program_with_onnxruntime_alone_makes_the_errors_of_the_rows(finished, written, test_set):
    assert said(WITHOUT_KDLAB, written / "model.onnx", test_set) == f"{errors_of(finished)} 10"
    assert errors_of(finished) != errors_of(finished, "none")


def test_the_loader_beside_the_weights_needs_no_kdlab(finished, written, test_set):
    assert said(LOADED, written, test_set) == str(errors_of(finished))


@pytest.mark.parametrize("size", [1, 7, 200])
def test_any_number_of_images_is_taken(written, test_set, size):
    session = onnxruntime.InferenceSession(str(written / "model.onnx"))
    assert [(it.name, it.type) for it in session.get_inputs()] == [("images", "tensor(uint8)")]
    images = np.load(test_set)["images"]
    some = session.run(["logits"], {"images": images[:size]})[0]
    whole = session.run(["logits"], {"images": images})[0]
    np.testing.assert_allclose(some, whole[:size], atol=1e-4)


def test_bytes_and_floats_in_the_unit_range_are_the_same_to_it(finished, written, test_set, tmp_path):
    export(student_of(finished, None, "prior"), tmp_path / "float", formats=["onnx"], dtype="float")
    images = np.load(test_set)["images"]
    of_bytes = onnxruntime.InferenceSession(str(written / "model.onnx")).run(["logits"], {"images": images})[0]
    session = onnxruntime.InferenceSession(str(tmp_path / "float" / "model.onnx"))
    of_floats = session.run(["logits"], {"images": images.astype(np.float32) / 255})[0]
    np.testing.assert_allclose(of_bytes, of_floats, atol=1e-4)


def test_eight_bits_are_smaller_and_told_with_their_accuracy(written):
    assert (written / "model.int8.onnx").stat().st_size < 0.5 * (written / "model.onnx").stat().st_size
    card = (written / "README.md").read_text()
    for name in ("model.onnx", "model.int8.onnx", "model.pt2", "model.safetensors"):
        assert f"| {name} | " in card
    assert "| never seen in training | 3 |" in card
    assert "bias correction inside | prior" in card
    assert "- 3: it never saw one" in card


def test_a_convolutional_network_with_batch_norm_is_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = trained(
        tmp_path / "run", "model@student.net=cnn_mnist_student", "data.held_out_classes=[]", "~arms.baseline",
        "claims=[]", "comparison=null", "+every_arm.net.batch_norm=true", "student.max_epochs=1",
    )  # fmt: skip
    found = export(student_of(folder, None, "none"), tmp_path / "out", formats=["onnx"])
    assert found.checks["model.onnx"].errors == errors_of(folder, "none")
    assert all(it.flops > 0 for it in found.speeds)


def test_a_file_that_says_something_else_than_its_network_is_refused_and_nothing_is_left(
    finished, tmp_path, monkeypatch
):
    def spoilt(program, metadata, path):
        real(program, metadata, path)
        model = onnx.load(str(path))
        weight = model.graph.initializer[0]
        weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
        onnx.save(model, str(path))

    real = command.write_onnx
    monkeypatch.setattr(command, "write_onnx", spoilt)
    with pytest.raises(KdlabError, match=r"model\.onnx is not what it came from: its logits differ by up to"):
        export(student_of(finished, "baseline", "none"), tmp_path / "out", formats=["onnx"])
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_the_networks_are_refused_and_nothing_is_left(finished, tmp_path, monkeypatch):
    def spoilt(program, metadata, folder):
        real(program, metadata, folder)
        path = folder / "model.safetensors"
        save_file({name: -value for name, value in load_file(path).items()}, path)

    real = command.write_safetensors
    monkeypatch.setattr(command, "write_safetensors", spoilt)
    with pytest.raises(KdlabError, match=r"model\.safetensors is not what it came from"):
        export(student_of(finished, "baseline", "none"), tmp_path / "out", formats=["safetensors"])
    assert list(tmp_path.iterdir()) == []


def call(monkeypatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    return str(stopped.value.code)


def test_what_cannot_be_exported_is_refused_by_the_option_that_is_wrong(finished, tmp_path, monkeypatch):
    assert call(monkeypatch, finished, "--arm", "gone") == "--arm gone: there are teacher, baseline, distilled"
    assert call(monkeypatch, finished, "--format", "onxx").startswith("--format onxx: must be some of onnx, torch")
    assert call(monkeypatch, finished, "--format", "torch", "--int8").startswith("--int8 is made of the ONNX file")
    assert call(monkeypatch, tmp_path).startswith(f"{tmp_path} holds no finished run")
    assert call(monkeypatch, finished, "--arm", "teacher", "--correction", "prior").startswith(
        "--correction prior: teacher has none"
    )
    (tmp_path / "mine").write_text("x")
    assert call(monkeypatch, finished, "--to", tmp_path) == f"{tmp_path} holds other files; give another folder by --to"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert call(monkeypatch, finished, "--to", tmp_path / "new") == (
        "--format onnx: onnx, onnxscript and onnxruntime are needed: pip install 'kdlab[export]'"
    )


def test_of_several_arms_none_of_which_is_distilled_one_must_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = trained(
        tmp_path / "run", "~arms.distilled", "+arms.a={}", "+arms.b.targets=truth", "claims=[]", "comparison=null",
        "student.max_epochs=1", "teacher.max_epochs=1",
    )  # fmt: skip
    assert call(monkeypatch, folder) == "--arm NAME is needed: there are baseline, a, b"
