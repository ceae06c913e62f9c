"""Find the keys that differ between runs, and the rows of each arm at each setting of these keys."""

import json
from collections.abc import Iterable, Sequence

import pandas as pd

from kdlab.report.rows import FIELDS, Run, Value, configs_of, only, over_seeds, rows_of
from kdlab.results import Results


def swept_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys of the config that differ between runs, seeds last.

    Of keys that always change together (`loss.temperature` and `student.loss.temperature`), only the one with the
    fewest dots is returned.
    """
    values = configs_of(run.results for run in runs).map(repr)
    varied = sorted(values.columns[values.nunique() > 1], key=lambda name: name.count("."))
    different = values[varied].T.drop_duplicates().index
    return sorted(different, key=lambda name: (is_seed(name), values.columns.get_loc(name)))


def is_seed(key: str) -> bool:
    """Return whether runs that differ only in this key are repetitions."""
    return key.rpartition(".")[2] in ("seed", "split_seed", "sample_seed")


def settings_of(runs: Sequence[Run], keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows of each arm at each of its settings, in order. Columns: run, arm, keys without seeds, fields.

    A key that does not affect an arm's rows is blank for this arm. Fits that several runs share are counted once. If
    only the temperature is swept, the baseline therefore has one setting, and one fit for each seed.
    """
    results = [run.results for run in runs]
    rows, configs = rows_of(results), configs_of(results)
    fits = pd.DataFrame(
        [(run, arm, outcome) for run, found in enumerate(results) for arm, outcome in _outcomes(found).items()],
        columns=["run", "arm", "outcome"],
    ).astype({"run": int, "arm": rows["arm"].dtype})
    fits = fits.join(pd.DataFrame({key: _categories(configs[key]) for key in keys}, configs.index), on="run")
    varied = [key for key in keys if not is_seed(key)]
    for _, own in fits.groupby("arm", observed=True):
        fits.loc[own.index, [key for key in varied if not _matters(key, keys, own)]] = ""
    fits = fits.drop_duplicates(["arm", *varied, "outcome"]).sort_values(["arm", *varied], kind="stable")
    return fits[["run", "arm", *varied]].merge(rows.astype({"value": float}), on=["run", "arm"])


def keys_of(settings: pd.DataFrame) -> list[str]:
    """Return the keys that affect at least one of the arms."""
    return [str(key) for key in settings if key not in ("run", *FIELDS) and (settings[key] != "").any()]


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


def accuracy_on_test(settings: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the statistics of test accuracy in per cent, grouped by classes, correction and these keys."""
    return 100 * over_seeds(only(settings, split="test", metric="accuracy"), ["classes", "correction", *keys])


def _outcomes(results: Results) -> dict[str, int]:
    """Return the hash of each arm's content key and rows, cost rows excluded."""
    rows: dict[str, list[object]] = {fit.arm: [fit.key] for fit in results.fits}
    for row in results.rows:
        if row.split != "cost" and row.arm in rows:
            rows[row.arm].append(row)
    return {arm: hash(tuple(own)) for arm, own in rows.items()}


def _categories(values: Iterable[Value]) -> "pd.Categorical[str]":
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
