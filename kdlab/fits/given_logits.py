"""A file of logits from elsewhere → a teacher: by the order of the samples, or by the names of image files."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdlab.data import ClassificationData
from kdlab.errors import DataError
from kdlab.models.logits_table import LogitsTable, keys_of

SHOWN = 5
BY_ORDER = (".npy", ".safetensors")
# Samples that are scaled at once.
AT_ONCE = 1024


def table_of(path: Path, data: ClassificationData) -> LogitsTable:
    """Return the teacher that a file of logits makes.

    `.npy`, or `.safetensors` with a tensor `logits`: a row for each official training sample and then for each test
    sample, in their order, a column for each class. `.csv` or `.parquet`: a column `file` with the names of image files
    as `data.root` has them, and a column for each class name.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    logits = _by_order(path, data) if path.suffix in BY_ORDER else _by_name(path, data)
    if not logits.isfinite().all():
        row = int((~logits.isfinite().all(dim=1)).nonzero()[0])
        raise DataError(f"{path}: row {row} (from 0) is not finite: {logits[row].tolist()}")
    inputs = [part for split in ("official", "test") for part in data.split(split).inputs.split(AT_ONCE)]
    return LogitsTable(torch.cat([keys_of(data.scale(part)) for part in inputs]), logits)


def _by_order(path: Path, data: ClassificationData) -> Tensor:
    try:
        if path.suffix == ".npy":
            found = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32))
        else:
            found = load_file(path)["logits"].float()
    except KeyError as error:
        raise DataError(f"{path}: it has no tensor named logits") from error
    except (OSError, ValueError, EOFError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    train, test = (len(data.split(split).labels) for split in ("official", "test"))
    wanted = (train + test, len(data.class_names))
    if tuple(found.shape) != wanted:
        raise DataError(
            f"{path}: it is of shape {tuple(found.shape)}, {wanted} is needed: a row for each of {train} training "
            f"samples (the validation part among them), then of {test} test samples; a column for each class"
        )
    return found


def _by_name(path: Path, data: ClassificationData) -> Tensor:
    if not data.sample_files:
        raise DataError(
            f"{path}: {data.name} has no files with names; give .npy or .safetensors, in the samples' order"
        )
    try:
        table = pd.read_csv(path, dtype={"file": str}) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    names = list(data.class_names)
    if absent := [name for name in ("file", *names) if name not in table.columns]:
        raise DataError(
            f"{path}: it has no column {', '.join(map(repr, absent[:SHOWN]))}; file and a column a class are needed"
        )
    table = table.drop_duplicates("file").set_index("file")
    if missing := [file for file in data.sample_files if file not in table.index]:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DataError(f"{path}: there are no logits for {', '.join(missing[:SHOWN])}{more}")
    try:
        return torch.tensor(table.loc[list(data.sample_files), names].to_numpy(dtype=np.float32))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
