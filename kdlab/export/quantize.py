"""int8: weights and activations of an ONNX file in eight bits, calibrated on training images."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kdlab.errors import KdlabError
from kdlab.export.formats import NEEDED, quietly

INT8 = "model.int8.onnx"
# Training samples from which the ranges of the activations are taken.
CALIBRATION, BATCH = 512, 64


def write_int8(source: Path, raw: Tensor, path: Path) -> None:
    """Write a statically quantized copy of an ONNX file.

    Args:
        source: the file in float32.
        raw: training inputs, as it takes them; evenly spaced ones calibrate it.
        path: of the copy.

    Raises:
        KdlabError: when onnxruntime is missing.
    """
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise KdlabError(f"--int8: {NEEDED}") from error
    chosen = raw[:: max(1, len(raw) // CALIBRATION)][:CALIBRATION]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[dict[str, Any]] = iter(
                {"images": np.ascontiguousarray(batch.numpy())} for batch in chosen.split(BATCH)
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as scratch, quietly():
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            str(prepared), str(path), Reader(), per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
