"""The files of an exported network: ONNX, a `torch.export` program, safetensors with a loader."""

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kdlab.errors import KdlabError

ONNX, TORCH, SAFETENSORS = "model.onnx", "model.pt2", "model.safetensors"
FORMATS = {"onnx": ONNX, "torch": TORCH, "safetensors": SAFETENSORS}
NEEDED = "onnx, onnxscript and onnxruntime are needed: pip install 'kdlab[export]'"
LOADER = '''"""Loads model.safetensors without kdlab: `logits, probabilities = load()(images)`."""

from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def load() -> torch.nn.Module:
    """Return the network: the program of model.pt2, with the weights of model.safetensors."""
    network = torch.export.load(HERE / "model.pt2").module()
    network.load_state_dict(load_file(HERE / "model.safetensors"))
    return network


if __name__ == "__main__":
    print(load())
'''


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what exporters print and warn of to ourselves."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def exported(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Return a network as a program for any number of inputs.

    Args:
        module: the network.
        example: (2, …), inputs as it takes them.

    Raises:
        KdlabError: when the network's code cannot be exported.
    """
    try:
        with quietly():
            return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as error:  # torch.export raises many kinds for code that it cannot follow
        raise KdlabError(f"{type(module.net).__name__} cannot be exported: {_first_line(error)}") from error


def write_onnx(program: torch.export.ExportedProgram, metadata: Mapping[str, Any], path: Path) -> None:
    """Write one ONNX file with metadata; its input is `images`, its outputs are `logits` and `probabilities`.

    Raises:
        KdlabError: when a package is missing, or the program has an operation that ONNX lacks.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise KdlabError(f"--format onnx: {NEEDED}") from error
    try:
        with quietly():
            names = ["logits", "probabilities"]
            made = torch.onnx.export(program, input_names=["images"], output_names=names, dynamo=True, verbose=False)
            assert made is not None
            made.save(str(path))
    except Exception as error:
        raise KdlabError(f"it cannot be written as ONNX: {_first_line(error)}") from error
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {key: _text(value) for key, value in metadata.items()})
    onnx.save(model, str(path))


def write_torch(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program that `torch.export.load` reads without kdlab."""
    with quietly():
        torch.export.save(program, path)


def write_safetensors(program: torch.export.ExportedProgram, metadata: Mapping[str, Any], folder: Path) -> None:
    """Write the program's weights, and a loader that needs torch, safetensors and the program's own file."""
    weights = {name: value.detach().contiguous().clone() for name, value in program.module().state_dict().items()}
    save_file(weights, folder / SAFETENSORS, {key: _text(value) for key, value in metadata.items()})
    (folder / SAFETENSORS).chmod(0o644)
    (folder / "load.py").write_text(LOADER)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
