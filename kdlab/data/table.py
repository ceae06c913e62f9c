"""A user's own table: numbers in columns, and the class in one of them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn.datasets
import torch
from torch import Tensor

from kdlab.data.held_out import split_ids
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.errors import DataError
from kdlab.limits import is_part, shown, text

SHOWN = 5
KINDS = (".csv", ".parquet", ".npz")
# scikit-learn's loaders of data that come with it.
LOADERS = ("breast_cancer", "digits", "iris", "wine")


class _Table(NamedTuple):
    """`inputs` (N, D) float32, `labels` (N,), and the names of the classes."""

    inputs: Tensor
    labels: Tensor
    class_names: tuple[str, ...]


class TableData(ClassificationData):
    """Rows of numbers (D,) with a class, from a file or from scikit-learn.

    Networks see each column standardized, by mean and standard deviation of the training rows. Of the rows, `test_size`
    become the test set; their choice is stratified and the same for every seed.

    Args:
        path: a `.csv` or `.parquet` file with named columns, or a `.npz` file with arrays `X` (N, D) and `y` (N,).
        loader: instead of a file, one of scikit-learn's sets: breast_cancer, digits, iris or wine.
        target: the column of the class; null for the last one.
        drop: columns that are left out.
        test_size: the share or number of test rows.
        name: the data set's name in results; null for the file's or the loader's.
        **kwargs: see `ClassificationData`.

    Raises:
        ValueError: one line for each argument out of its range, and one if the table cannot be used.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        loader: str | None = None,
        target: str | None = None,
        drop: Sequence[str] = (),
        test_size: float = 0.2,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        problems = [] if name is None else text("name", name)
        if not is_part(test_size) or test_size == 0:
            problems.append(f"test_size={test_size}: must be a fraction in (0, 1) or a number of rows")
        if (path is None) == (loader is None):
            problems.append(f"path={shown(path)}: give either a file here, or data.loader, one of {', '.join(LOADERS)}")
        if not isinstance(drop, Sequence) or isinstance(drop, str):
            problems.append(f"drop={shown(drop)}: must be a list of columns")
        if not problems:
            try:
                self.table = _loaded(path, loader, target, tuple(drop))
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))
        self.name = name or (Path(path).stem if path else str(loader))
        self.class_names = self.table.class_names
        self.input_shape = (self.table.inputs.shape[1],)
        self.test_size = test_size
        super().__init__(**kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Return the training and the test rows (N, D) float32, as the table has them."""
        inputs, labels, names = self.table
        try:
            parts = split_ids(labels, self.test_size, seed=0, names=names)
        except ValueError as error:
            raise DataError(str(error).replace("val_size", "data.test_size")) from error
        train, test = (Samples(inputs[ids], labels[ids]) for ids in parts)
        std, mean = torch.std_mean(train.inputs.double(), dim=0, correction=0)
        self.channel_mean = mean.tolist()
        self.channel_std = torch.where(std > 0, std, 1.0).tolist()  # a column that never changes says nothing
        return train, test

    def scale(self, inputs: Tensor) -> Tensor:
        """Return the rows as they are; each network standardizes them."""
        return inputs.float()

    def scaling(self) -> dict[str, Any]:
        """Return the numbers of the standardization."""
        return {"divisor": 1, "mean": list(self.channel_mean or ()), "std": list(self.channel_std or ())}


def _loaded(path: str | None, loader: str | None, target: str | None, drop: tuple[str, ...]) -> _Table:
    if loader is not None:
        if loader not in LOADERS:
            raise ValueError(f"loader={shown(loader)}: must be {', '.join(LOADERS)}")
        bunch = getattr(sklearn.datasets, f"load_{loader}")()
        names = tuple(map(str, bunch.target_names))
        return _Table(torch.tensor(bunch.data, dtype=torch.float32), torch.tensor(bunch.target).long(), names)
    file = Path(str(path)).expanduser()
    if file.suffix not in KINDS or not file.is_file():
        raise ValueError(f"path={shown(path)}: no such file; one of {', '.join(KINDS)} is needed")
    return _of_file(file, file.stat().st_mtime_ns, target, drop)


@lru_cache(maxsize=2)
def _of_file(file: Path, changed: int, target: str | None, drop: tuple[str, ...]) -> _Table:
    """Read a file; a data set is built several times before it is used, which must not read it again."""
    try:
        frame = _arrays(file) if file.suffix == ".npz" else _frame(file)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ValueError(f"path={file}: cannot be read: {error}") from error
    named = {column for column in (target, *drop) if column is not None}
    if unknown := sorted(named - set(frame.columns)):
        raise ValueError(f"target={unknown[0]}: there is no such column; there are {_some(list(frame.columns))}")
    of_class = target or frame.columns[-1]
    numbers = frame.drop(columns=[of_class, *drop])
    if texts := [name for name in numbers if not pd.api.types.is_numeric_dtype(numbers[name])]:
        raise ValueError(f"path={file}: {_some(texts)} hold no numbers; make some of them, or data.drop=[{texts[0]}]")
    values = torch.tensor(numbers.to_numpy(dtype=np.float32))
    if bad := [name for name, good in zip(numbers, values.isfinite().all(dim=0).tolist(), strict=True) if not good]:
        raise ValueError(f"path={file}: {_some(bad)} lack values, or have infinite ones; fill or drop them")
    if not len(numbers.columns) or frame[of_class].isna().any():
        raise ValueError(f"path={file}: every row needs a class in {of_class}, and a number in another column")
    classes = sorted(frame[of_class].unique(), key=lambda it: (isinstance(it, str), it))
    index = {value: i for i, value in enumerate(classes)}
    if len(classes) < 2:
        raise ValueError(f"path={file}: {of_class} has one class only, {classes[0]}")
    labels = torch.tensor([index[value] for value in frame[of_class]])
    return _Table(values, labels, tuple(map(str, classes)))


def _frame(file: Path) -> pd.DataFrame:
    return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


def _arrays(file: Path) -> pd.DataFrame:
    with np.load(file, allow_pickle=False) as arrays:
        x, y = arrays["X"], arrays["y"]
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"X is {x.shape} and y {y.shape}; (N, D) and (N,) are needed")
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(y=y)


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
