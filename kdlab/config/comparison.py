"""The schema of an experiment's `comparison`: published figures beside a run's own."""

from collections.abc import Iterator
from typing import Any, get_args

from kdlab.limits import is_finite
from kdlab.results import SPLITS, Correction

KEYS = ("source", "dataset", "rows")
DEFAULTS = {"split": "test", "classes": "all", "correction": "none", "source": None}
ROW_KEYS = ("show", "arm", "metric", *DEFAULTS)
METRICS = (
    "accuracy", "errors", "correct", "error_rate", "nll", "ece", "agreement", "offset", "excess_risk",
    "bayes_agreement", "bayes_error", "standard_error", "parameters", "bytes", "latency_ms",
)  # fmt: skip
CHOICES = {
    "metric": METRICS,
    "correction": get_args(Correction),
    "split": (*SPLITS, "cost", "distribution"),
}


def comparison_problems(comparison: Any) -> Iterator[str]:
    """Yield what is wrong with a `comparison`; None is none."""
    if comparison is None:
        return
    if not (isinstance(comparison, dict) and set(comparison) == set(KEYS) and isinstance(comparison["rows"], list)):
        yield f"comparison={comparison}: must be null, or have the keys {', '.join(KEYS)}, the last of them a list"
        return
    for i, row in enumerate(comparison["rows"]):
        yield from _row_problems(f"comparison.rows[{i}]", row)


def _row_problems(at: str, row: Any) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f"{at}={row}: must be a mapping with the keys {', '.join(ROW_KEYS)}"
        return
    if unknown := [key for key in row if key not in ROW_KEYS]:
        yield f"{at}.{unknown[0]}: no such key; there are {', '.join(ROW_KEYS)}"
    if missing := [key for key in ("show", "arm", "metric") if key not in row]:
        yield f"{at}.{missing[0]}: is missing"
    full = DEFAULTS | row
    for key, known in CHOICES.items():
        if key in full and full[key] not in known:
            yield f"{at}.{key}={full[key]}: must be one of {', '.join(known)}"
    if not (full["source"] is None or is_finite(full["source"])):
        yield f"{at}.source={full['source']}: must be a finite number, or left out where the source has none"
