"""An exported file against the network that it came from, on the whole test set."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from kdlab.errors import KdlabError
from kdlab.export.formats import NEEDED

BATCH = 500
# How far logits may be apart, relative to the largest: rounding in float32, in another order of additions.
TOLERANCE = 1e-3
Answer = Callable[[Tensor], Tensor]


class Checked(NamedTuple):
    """A file's logits beside the network's: the largest difference, samples with another first choice, errors."""

    difference: float
    other_choices: int
    errors: int
    n: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return 1 - self.errors / self.n


def onnx_session(path: Path) -> Answer:
    """Return a function from raw inputs to the logits of an ONNX file, by onnxruntime with torch's number of threads.

    Raises:
        KdlabError: when onnxruntime is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise KdlabError(NEEDED) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def answer(raw: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"images": np.ascontiguousarray(raw.numpy())})[0])

    return answer


def torch_program(path: Path, weights: Path | None = None) -> Answer:
    """Return the same of a file that `torch.export.save` wrote, with other weights as the exported loader has them."""
    module = torch.export.load(path).module()
    if weights:
        module.load_state_dict(load_file(weights))

    @torch.no_grad()
    def answer(raw: Tensor) -> Tensor:
        return module(raw)[0]

    return answer


@torch.no_grad()
def answers(answer: Answer, raw: Tensor) -> Tensor:
    """Return the logits (N, C) for all inputs, a batch at a time."""
    return torch.cat([answer(batch) for batch in raw.split(BATCH)])


def checked(found: Tensor, expected: Tensor, labels: Tensor) -> Checked:
    """Compare logits (N, C) with those expected."""
    choices = found.argmax(dim=1)
    return Checked(
        float((found - expected).abs().max()),
        int((choices != expected.argmax(dim=1)).sum()),
        int((choices != labels).sum()),
        len(labels),
    )


def must_be_right(name: str, found: Checked, expected: Tensor, errors: int) -> None:
    """Refuse a file that says something else than its network.

    Raises:
        KdlabError: when logits differ by more than rounding, or it makes another number of errors.
    """
    limit = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not found.difference <= limit or found.errors != errors:
        raise KdlabError(
            f"{name} is not what it came from: its logits differ by up to {found.difference:.3g}, and it makes "
            f"{found.errors} errors of {found.n} instead of {errors}"
        )
