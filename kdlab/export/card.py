"""The model card of an exported network: what it is, how good, how fast, and what not to use it for."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from kdlab.claims.statistics import wilson
from kdlab.export.check import Checked
from kdlab.export.deployed import Student
from kdlab.export.speed import BATCHES, Speed
from kdlab.report.sweep_table import escaped, markdown
from kdlab.report.tables import Table

USES = {
    "model.onnx": '''import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
images = np.zeros((1, {shape}), np.{dtype})        # {what}
logits, probabilities = session.run(None, {{"images": images}})''',
    "model.pt2": '''import torch
network = torch.export.load("model.pt2").module()
logits, probabilities = network(torch.zeros(1, {shape}, dtype=torch.{dtype}))''',
    "model.safetensors": '''from load import load      # load.py lies beside the weights; it needs torch and safetensors
logits, probabilities = load()(images)''',
}  # fmt: skip


class Found(NamedTuple):
    """What was found of the exported files: checks by file, speeds, and warnings."""

    checks: Mapping[str, Checked]
    speeds: Sequence[Speed]
    warnings: Sequence[str]


def card(student: Student, dtype: str, found: Found) -> str:
    """Return the card as Markdown."""
    results, arm = student.results, student.arm
    inputs = results.inputs
    assert inputs
    fit = next(fit for fit in results.fits if fit.arm == arm)
    held_out = [inputs.class_names[c] for c in student.fits[arm].held_out]
    shape = ", ".join(map(str, inputs.shape))
    kind = "images" if len(inputs.shape) == 3 else "rows"
    what = {"uint8": "bytes, 0 to 255"}.get(dtype, "floats: images in [0, 1]" if kind == "images" else "numbers")
    about = {
        "task": f"one of {len(inputs.class_names)} classes: {', '.join(inputs.class_names)}",
        "input": f"{kind} (N, {shape}), {dtype}: {what}; scaling is inside",
        "output": "logits and probabilities (N, C)",
        "data": f"{results.dataset}; checksum {results.environment.get('data', 'unknown')}",
        "never seen in training": ", ".join(held_out) or "no class",
        "bias correction inside": student.correction,
        "trained by": results.equations.get(arm, "unknown"),
        "teacher": fit.teacher or "none",
        "parameters": f"{fit.parameters:,}",
        "command": results.environment.get("command", ""),
        "made with": f"kdlab {version('kdlab')}, torch {results.environment.get('torch', '')}, content key {fit.key}",
    }
    parts = [f"# {escaped(student.title)}", *(f"> {warning}" for warning in found.warnings)]
    parts += [markdown(Table("about", "", ["", "what"], [[name, text] for name, text in about.items()], labels=2))]
    parts += ["## How good", _quality(student), "Wilson's 95 % interval: of the samples, for this one seed."]
    parts += ["## The files, checked on the whole test set", _checks(found.checks)]
    parts += ["## How fast", _speeds(found), "Milliseconds on the CPU that exported it: median (95th percentile)."]
    parts += ["## How to use it"]
    parts += [
        f"```python\n{text.format(shape=shape, dtype='uint8' if dtype == 'uint8' else 'float32', what=what)}\n```"
        for name, text in USES.items()
        if name in found.checks
    ]
    parts += ["## What not to use it for", *_limits(student, held_out)]
    return "\n\n".join(parts) + "\n"


def _quality(student: Student) -> str:
    rows = []
    for group in ("all", "seen", "unseen"):
        row = student.results.find(student.arm, group, "errors", student.correction, "test")
        if row is None:
            continue
        right = row.n - round(row.value)
        _, low, high = wilson(right, row.n)
        rows.append([group, f"{100 * right / row.n:.2f} %", f"{100 * low:.2f} to {100 * high:.2f} %", f"{row.n:,}"])
    groups = rows if len(rows) != 2 else rows[:1]
    return markdown(Table("quality", "", ["test classes", "accuracy", "95 % interval", "samples"], groups))


def _checks(checks: Mapping[str, Checked]) -> str:
    rows = [
        [name, f"{100 * it.accuracy:.2f} %", f"{it.errors:,}", f"{it.difference:.2g}", f"{it.other_choices:,}"]
        for name, it in checks.items()
    ]
    header = ["file", "accuracy", "errors", "largest difference of a logit", "other first choices than in torch"]
    return markdown(Table("checks", "", header, rows))


def _speeds(found: Found) -> str:
    rows = [
        [
            it.name, it.runtime, f"{it.bytes:,}", f"{it.flops:,}",
            *(f"{it.latency[size].median:.3g} ({it.latency[size].p95:.3g})" for size in BATCHES),
        ]
        for it in found.speeds
    ]  # fmt: skip
    header = ["network", "runtime", "bytes", "FLOPs a sample", *(f"batch of {size}" for size in BATCHES)]
    return markdown(Table("speed", "", header, rows, labels=2))


def _limits(student: Student, held_out: Sequence[str]) -> list[str]:
    limits = [
        f"- Images of another kind than those of {student.results.dataset}: its figures are of its test part.",
        "- Images of none of its classes: it names one of them all the same, and may be sure of it.",
        "- Decisions that need a probability to be trusted, before its calibration has been checked on your data.",
    ]
    if held_out:
        names = ", ".join(held_out)
        limits.append(
            f"- {names}: it never saw one, and knows what its teacher's answers to other images said of them."
        )
    return ["\n".join(limits)]
