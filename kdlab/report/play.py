"""The numbers behind the sliders of a run's page: logits of a few samples, and errors over the bias offset."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kdlab.measure.correction import guesses
from kdlab.report.figures.temperature import mean_soft_targets

# Temperatures at which the classes' mean soft targets are given; between them the page interpolates.
TEMPERATURES = (0.5, 1.0, 2.0, 4.0, 8.0, 20.0, 50.0)
# With more classes neither bars nor numbers could be read.
MOST_CLASSES = 20
# Students with sliders of their own.
MOST_STUDENTS = 3
OFFSETS = 121
# Digits that keep softmax(z / T) right to 1e-6 from T = 0.5 on.
DIGITS = 9


def play_data(
    samples: Sequence[int],
    logits: Mapping[str, Tensor],
    labels: Tensor,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
    offsets: Mapping[str, Mapping[str, float]],
    temperature: float,
    images: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Return what the page's script needs, as plain values; None for more than `MOST_CLASSES` classes, or no sample.

    Args:
        samples: to show, as indices.
        logits: of the teacher, `teacher`, and of students, (N, C).
        labels: (N,).
        class_names: C names.
        held_out: the classes that each student never saw.
        offsets: by student and correction, the mean offset of these classes' logits.
        temperature: to begin with.
        images: of the samples, as data URIs; empty where they are none.
    """
    if len(class_names) > MOST_CLASSES or not samples:
        return None
    students = [name for name in logits if name != "teacher"][:MOST_STUDENTS]
    shown = ["teacher", *students]
    return {
        "classes": list(class_names),
        "temperature": temperature,
        "samples": [
            {
                "label": int(labels[i]),
                "image": images[place] if images else None,
                "alt": f"An image of class {class_names[int(labels[i])]} that the teacher is not sure of",
                "logits": [[name, _rounded(logits[name][i], DIGITS)] for name in shown],
            }
            for place, i in enumerate(samples)
        ],
        "similarity": {
            "temperatures": list(TEMPERATURES),
            "means": [_rounded(mean_soft_targets(logits["teacher"], labels, t).nan_to_num(0), 4) for t in TEMPERATURES],
        },
        "bias": {
            name: errors_over_offset(logits[name], labels, held_out[name]) | {"marks": _marks(offsets.get(name, {}))}
            for name in students
            if held_out.get(name)
        },
    }


def errors_over_offset(logits: Tensor, labels: Tensor, held_out: Sequence[int]) -> dict[str, Any]:
    """Return the errors on seen and unseen classes over offsets of the unseen logits, `step` apart from `low` on.

    They reach from where hardly a sample is told unseen to where nearly all are.
    """
    of_unseen = torch.isin(labels, torch.tensor(list(held_out), dtype=labels.dtype))
    margins, seen_class, held_class = guesses(logits, held_out)
    low, high = (float(torch.quantile(margins, share)) for share in (0.001, 0.999))
    low, high = min(-1.0, low), max(1.0, high)
    step = float(f"{(high - low) / (OFFSETS - 1):.3g}")
    low = step * round(low / step)
    found: dict[str, list[int]] = {"seen": [], "unseen": []}
    for i in range(OFFSETS):
        right = torch.where(margins < low + i * step, held_class, seen_class) == labels
        found["seen"].append(int((~right & ~of_unseen).sum()))
        found["unseen"].append(int((~right & of_unseen).sum()))
    return {"low": float(f"{low:.6g}"), "step": step, **found}


def _marks(offsets: Mapping[str, float]) -> str:
    return " ".join(f"{name}: {offset:.2f}." for name, offset in offsets.items())


def _rounded(values: Tensor, digits: int) -> Any:
    if values.ndim > 1:
        return [_rounded(row, digits) for row in values]
    return [float(f"{value:.{digits}g}") for value in values.double().tolist()]
