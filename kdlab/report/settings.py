"""Find the keys that differ between runs, and the rows of each arm at each setting of these keys."""

import json
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from msgspec.structs import astuple

from kdlab.claims.draws import is_seed
from kdlab.report.rows import CORRECTIONS, FIELDS, GROUPS, Run, Value, configs_of, only, over_seeds, split_of
from kdlab.results import Results, Row

# Settings are compared by these metrics on groups of classes; the other rows of a fit are left out.
COMPARED = ("accuracy", "errors", "nll")


def swept_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys of the config that differ between runs, seeds last.

    Of keys that always change together (`loss.temperature` and `student.loss.temperature`), only the one that was given
    is returned: that with the fewest dots, and not one of the student's, which has its own from the others.
    """
    values = configs_of(run.results for run in runs).map(repr)
    varied = sorted(
        values.columns[values.nunique() > 1], key=lambda name: (name.count("."), name.startswith("student."))
    )
    different = values[varied].T.drop_duplicates().index
    return sorted(different, key=lambda name: (is_seed(name), values.columns.get_loc(name)))


def fits_of(runs: Sequence[Run], keys: Sequence[str]) -> pd.DataFrame:
    """Return a line for each different fit of each arm at each of its settings, in order.

    Columns: run, arm, fit (its content key; blank for the Bayes rule), the keys, rows. A key that does not affect an
    arm's rows is blank for this arm. Fits that several runs share are counted once. If only the temperature is swept,
    the baseline therefore has one setting, and one fit for each seed.
    """
    configs = configs_of(run.results for run in runs)
    lines = [(number, *found) for number, run in enumerate(runs) for found in outcomes(run.results)]
    fits = pd.DataFrame(lines, columns=["run", "arm", "fit", "rows", "outcome"])
    fits = fits.astype({"run": int, "arm": pd.CategoricalDtype(list(dict.fromkeys(fits["arm"])))})
    fits = fits.join(pd.DataFrame({key: as_categories(configs[key]) for key in keys}, configs.index), on="run")
    varied = [key for key in keys if not is_seed(key)]
    for _, own in fits.groupby("arm", observed=True):
        fits.loc[own.index, [key for key in varied if not _matters(key, keys, own)]] = ""
    fits = fits.drop_duplicates(["arm", *varied, "outcome"]).sort_values(["arm", *varied], kind="stable")
    return fits[["run", "arm", "fit", *keys, "rows"]].reset_index(drop=True)


def settings_of(fits: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by which settings are compared. Columns: run, arm, fit, keys without seeds, draw, a row's fields.

    `draw` holds the seeds: rows of different settings with the same draw are a pair.

    Args:
        fits: from `fits_of`; the Bayes rule, which is no fit, is left out.
    """
    trained = fits[fits["fit"] != ""]
    lines = [
        (place, *astuple(row)[1:])
        for place, rows in trained["rows"].items()
        for row in rows
        if row.metric in COMPARED and row.classes in GROUPS
    ]
    rows = pd.DataFrame(lines, columns=["place", *FIELDS[1:]]).astype({"value": float})
    rows = rows.astype(dict.fromkeys(("split", "classes", "metric"), "category"))
    rows["correction"] = pd.Categorical(rows["correction"], CORRECTIONS)
    about = trained[[key for key in trained if key != "rows" and not is_seed(str(key))]]
    draws = trained[[key for key in trained if is_seed(str(key))]].astype(str).to_numpy().tolist()
    about = about.assign(draw=pd.Categorical(list(map(" ".join, draws))))
    return about.join(rows.set_index("place"), how="inner").reset_index(drop=True)


def keys_of(settings: pd.DataFrame) -> list[str]:
    """Return the keys that affect at least one of the arms."""
    return [str(key) for key in settings if key not in ("run", "fit", "draw", *FIELDS) and (settings[key] != "").any()]


def combinations(settings: pd.DataFrame, keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the combinations of values that these keys have, in order."""
    different = settings[list(keys)].drop_duplicates()
    return list(different.sort_values(list(keys)).itertuples(index=False, name=None)) if keys else [()]


def at(settings: pd.DataFrame, keys: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Return the rows whose keys have these values."""
    return settings[(settings[list(keys)] == list(values)).all(axis=1)]


def assigned(keys: Sequence[str], values: Sequence[str]) -> list[str]:
    """Return `key=value` for each key."""
    return [f"{key}={value}" for key, value in zip(keys, values, strict=True)]


def accuracies(settings: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the statistics of accuracy in per cent, grouped by classes, correction and these keys.

    Measured on `split_of(settings)`.
    """
    measured = only(settings, split=split_of(settings), metric="accuracy")
    return 100 * over_seeds(measured, ["classes", "correction", *keys])


def outcomes(results: Results) -> Iterator[tuple[str, str, list[Row], int]]:
    """Yield (arm, content key, rows, hash of both) for each fit and the Bayes rule; cost rows are not hashed."""
    rows: dict[str, list[Row]] = {fit.arm: [] for fit in results.fits}
    for row in results.rows:
        rows.setdefault(row.arm, []).append(row)
    keys = {fit.arm: fit.key for fit in results.fits}
    for arm, own in rows.items():
        key = keys.get(arm, "")
        yield arm, key, own, hash((key, *(row for row in own if row.split != "cost")))


def as_categories(values: Iterable[Value]) -> "pd.Categorical[str]":
    """Return values as text in config syntax, ordered: the blank, then numbers by size, then others by their text."""
    text = {repr(v): (v or "''") if isinstance(v, str) else json.dumps(v) for v in sorted(values, key=_sortable)}
    return pd.Categorical([text[repr(value)] for value in values], ["", *dict.fromkeys(text.values())], ordered=True)


def _matters(key: str, keys: Sequence[str], fits: pd.DataFrame) -> bool:
    """Return whether one arm's fits that differ only in this key have different outcomes.

    If no fits differ only in this key, return whether the arm has different outcomes at all.
    """
    alike = fits.groupby(["arm", *(name for name in keys if name != key)], observed=True)
    different = alike[[key, "outcome"]].nunique() > 1
    varied_alone = different["outcome"][different[key]]
    return bool(varied_alone.any() if len(varied_alone) else fits["outcome"].nunique() > 1)


def _sortable(value: Value) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, str(value))  # type: ignore[arg-type]
