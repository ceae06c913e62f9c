"""Turn runs into pandas DataFrames: rows, configs, and statistics of groups of rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from msgspec.structs import astuple

from kdlab.claims.statistics import half_width
from kdlab.hashing import plain
from kdlab.results import SPLITS, Results, Row

Value = str | int | float | bool | None
FIELDS = Row.__struct_fields__
CORRECTIONS = ("none", "prior", "oracle")
GROUPS = ("all", "seen", "unseen")
# In tables what matters most stands first: a narrow screen shows no more.
IN_COLUMNS = ("unseen", "all", "seen")
# Parts of a config that do not affect results, or that repeat other parts.
LEFT_OUT = (
    "name", "question", "store", "comparison", "claims", "tuning", "reproduction", "figures", "trainer.devices",
)  # fmt: skip


class Run(NamedTuple):
    """A finished run."""

    folder: Path
    results: Results


def rows_of(results: Sequence[Results]) -> pd.DataFrame:
    """Return a line for each row: `run`, the position of its results in `results`, and the row's fields.

    Arms and corrections are categories, so that groups keep the order of the fits and of `CORRECTIONS`. `value` keeps
    the type of each value: counts stay integers.
    """
    lines = [(run, *astuple(row)) for run, found in enumerate(results) for row in found.rows]
    rows = pd.DataFrame(lines, columns=["run", *FIELDS], dtype=object)
    arms = dict.fromkeys([*(fit.arm for found in results for fit in found.fits), *rows["arm"].unique()])
    in_order = {"arm": pd.CategoricalDtype(list(arms)), "correction": pd.CategoricalDtype(list(CORRECTIONS))}
    return rows.astype({"run": int, **dict.fromkeys(("split", "classes", "metric"), "category"), **in_order})


def configs_of(results: Iterable[Results]) -> pd.DataFrame:
    """Return a line for each run: experiment, data set and flattened config, without keys that do not affect results.

    Lists become text. A key that a run does not have is None.
    """
    described = [
        {"experiment": found.experiment, "dataset": found.dataset}
        | {key: value for key, value in _as_typed(found).items() if key not in LEFT_OUT}
        for found in results
    ]
    flat = pd.json_normalize(described).drop(columns=LEFT_OUT, errors="ignore")
    return pd.DataFrame({key: pd.Series(map(_value, column), dtype=object) for key, column in flat.items()})


def _as_typed(results: Results) -> dict[str, Any]:
    """Return the config with the students' held-out classes as they were given, where they are the data set's."""
    config = results.config
    student, data = config.get("student"), config.get("data")
    if not (isinstance(student, dict) and isinstance(data, dict) and "held_out_classes" in data):
        return config
    if student.get("held_out_classes") != results.held_out_classes:
        return config
    return config | {"student": student | {"held_out_classes": data["held_out_classes"]}}


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return str(value)
    return None if value != value else plain(value)


def only(rows: pd.DataFrame, **wanted: str | Sequence[str]) -> pd.DataFrame:
    """Return the rows whose fields have the wanted value, or one of the wanted values."""
    for field, values in wanted.items():
        rows = rows[rows[field].isin([values] if isinstance(values, str) else values)]
    return rows


def split_of(rows: pd.DataFrame) -> str:
    """Return the split that tables and figures show: test, or else the last one that was measured."""
    splits = [split for split in SPLITS if (rows["split"] == split).any()]
    return splits[-1] if splits else "test"


def over_seeds(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return each group's mean, half the width of its 95 % t interval (NaN for one value), and count."""
    found = rows.groupby(list(by), observed=True)["value"].agg(["mean", "std", "count"])
    return found.assign(half=half_width(found.pop("std"), found["count"]))[["mean", "half", "count"]]
