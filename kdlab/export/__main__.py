"""The command that exports a network of a finished run.

python -m kdlab.export RUN_DIR [--arm distilled] [--correction prior] [--format onnx,torch,safetensors] [--int8]
"""

import argparse
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdlab.errors import KdlabError
from kdlab.export.card import Found, card
from kdlab.export.check import Answer, answers, checked, must_be_right, onnx_session, torch_program
from kdlab.export.deployed import INPUTS, Student, student_of
from kdlab.export.formats import (
    FORMATS,
    ONNX,
    SAFETENSORS,
    TORCH,
    exported,
    write_onnx,
    write_safetensors,
    write_torch,
)
from kdlab.export.quantize import INT8, write_int8
from kdlab.export.speed import Speed, speed
from kdlab.measure.cost import BATCH, flops
from kdlab.models.logits_table import LogitsTable

CARD = "README.md"
# A drop in accuracy by int8 that is worth a warning.
POINT = 0.01


def main() -> None:
    """Export what the command line names; print what was written, and how it compares with its network."""
    parser = argparse.ArgumentParser(prog="python -m kdlab.export", description="Export a network of a finished run.")
    parser.add_argument("run_dir", type=Path, help="the run's folder, which holds results.json and checkpoints/")
    parser.add_argument("--arm", help="the network; default: distilled, or else the only arm")
    parser.add_argument("--correction", choices=("none", "prior"), default="none", help="bias correction inside")
    parser.add_argument("--input", choices=INPUTS, help="bytes, or floats (images in [0, 1]); default: as the data are")
    parser.add_argument("--format", default="onnx", help=f"some of {','.join(FORMATS)}; default: onnx")
    parser.add_argument("--int8", action="store_true", help="also a file in eight bits, calibrated on training images")
    parser.add_argument("--to", type=Path, help="the folder to write; default: RUN_DIR/export/ARM")
    given = parser.parse_args()
    try:
        formats = given.format.split(",")
        if unknown := [name for name in formats if name not in FORMATS]:
            raise KdlabError(f"--format {unknown[0]}: must be some of {', '.join(FORMATS)}")
        if given.int8 and "onnx" not in formats:
            raise KdlabError("--int8 is made of the ONNX file: it needs --format onnx")
        student = student_of(given.run_dir, given.arm, given.correction)
        target = given.to or given.run_dir / "export" / student.arm
        export(student, target, formats=formats, dtype=given.input, int8=given.int8)
    except KdlabError as error:
        sys.exit(str(error))
    print((target / CARD).read_text())
    print(f"written to {target}")


def export(
    student: Student, target: Path, *, formats: list[str], dtype: str | None = None, int8: bool = False
) -> Found:
    """Write a network in some formats, each checked on the whole test set, and its card; nothing where a check fails.

    Args:
        student: the network.
        target: the folder to write; an earlier export there is replaced.
        formats: some of `FORMATS`.
        dtype: `uint8`, or `float`; None for what the data are.
        int8: whether to write a file in eight bits too.

    Raises:
        KdlabError: when the folder holds something else, a package is missing, or a file differs from its network.
    """
    if target.exists() and any(target.iterdir()) and not (target / CARD).exists():
        raise KdlabError(f"{target} holds other files; give another folder by --to")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        raw = _raw(student, "test", dtype)
        dtype = "float" if raw.is_floating_point() else "uint8"
        found = _write(student, scratch, raw, formats, int8)
        (scratch / CARD).write_text(card(student, dtype, found))
        shutil.rmtree(target, ignore_errors=True)
        scratch.chmod(0o755)
        scratch.rename(target)
    return found


def _write(student: Student, folder: Path, raw: Tensor, formats: list[str], int8: bool) -> Found:
    """Write and check the files; return what was found."""
    program = exported(student.module, raw[:2])
    metadata = _metadata(student)
    run: dict[str, Answer] = {}
    if "onnx" in formats:
        write_onnx(program, metadata, folder / ONNX)
        run[ONNX] = onnx_session(folder / ONNX)
    if {"torch", "safetensors"} & set(formats):  # the loader of the weights runs the program with them
        write_torch(program, folder / TORCH)
        run[TORCH] = torch_program(folder / TORCH)
    if "safetensors" in formats:
        write_safetensors(program, metadata, folder)
        run[SAFETENSORS] = torch_program(folder / TORCH, weights=folder / SAFETENSORS)
    labels, expected = student.labels("test"), answers(lambda batch: student.module(batch)[0], raw)
    measured = student.results.find(student.arm, "all", "errors", student.correction, "test")
    errors = round(measured.value) if measured else int((expected.argmax(dim=1) != labels).sum())
    checks = {}
    for name, answer in run.items():
        checks[name] = checked(answers(answer, raw), expected, labels)
        must_be_right(name, checks[name], expected, errors)
    warnings = []
    if int8:
        write_int8(folder / ONNX, _raw(student, "train", None if raw.dtype == torch.uint8 else "float"), folder / INT8)
        run[INT8] = onnx_session(folder / INT8)
        checks[INT8] = found = checked(answers(run[INT8], raw), expected, labels)
        if (lost := checks[ONNX].accuracy - found.accuracy) > POINT:
            warnings.append(f"In eight bits it loses {100 * lost:.2f} points of accuracy.")
    return Found(checks, _speeds(student, folder, run, raw), warnings)


def _raw(student: Student, split: str, dtype: str | None) -> Tensor:
    """Return a split's inputs as the file takes them."""
    raw = student.raw(split)
    if dtype in (None, "uint8"):
        if dtype == "uint8" and raw.is_floating_point():
            raise KdlabError(f"--input uint8: {student.context.data.name} holds floats")
        return raw
    return raw if raw.is_floating_point() else raw.float() / student.module.divisor


def _speeds(student: Student, folder: Path, run: dict[str, Answer], raw: Tensor) -> list[Speed]:
    """Time the teacher and the network in torch, and each ONNX file in onnxruntime."""
    context = student.context
    checkpoints, scaled = context.folder / "checkpoints", context.data.scale(student.raw("test")[:BATCH])
    named = {name: student.fits[name].net for name in (*student.fits[student.arm].recipe.teacher, student.arm)}
    nets = {name: net for name, net in named.items() if not isinstance(net, LogitsTable)}
    operations = {name: flops(net, scaled[:1]) for name, net in nets.items()}
    found = [
        speed(name, "torch", operations[name], checkpoints / f"{name}.pt", net, scaled) for name, net in nets.items()
    ]
    for file, name in ((ONNX, student.arm), (INT8, f"{student.arm} int8")):
        if file in run:
            path, count = folder / file, operations[student.arm]
            found.append(speed(name, "onnxruntime", count, path, run[file], raw[:BATCH]))
    return found


def _metadata(student: Student) -> dict[str, Any]:
    """Return what a file says of itself."""
    results = student.results
    assert results.inputs
    fit = next(fit for fit in results.fits if fit.arm == student.arm)
    return {
        "class_names": results.inputs.class_names, "experiment": results.experiment, "arm": student.arm,
        "correction": student.correction, "dataset": results.dataset, "content_key": fit.key,
        "command": results.environment.get("command", ""), "kdlab": version("kdlab"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
