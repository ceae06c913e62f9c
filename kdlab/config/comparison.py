"""The schema of an experiment's `comparison`: published figures beside a run's own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from kdlab.limits import choice, is_finite, is_integer, shown, text
from kdlab.results import SPLITS, Correction

KEYS = ("source", "dataset", "about", "rows")
# Below these, a key that the config lacks is none of another network, loss, …, or of an arm that was taken out.
VARIABLE = ("net", "augment", "optimizer", "schedule", "loss", "arms", "teachers")
# What selects a number of a result, besides the arm and the metric.
SELECTION = {"split": "test", "classes": "all", "correction": "none"}
DEFAULTS = SELECTION | {"source": None}
ROW_KEYS = ("show", "arm", "metric", *DEFAULTS)
GROUPS = ("all", "seen", "unseen")
METRICS = (
    "accuracy", "balanced_accuracy", "mutual_accuracy", "errors", "correct", "error_rate", "nll", "brier", "ece",
    "agreement", "agreement_where_teacher_errs", "kl_to_teacher", "offset", "excess_risk", "bayes_agreement",
    "bayes_error", "standard_error", "parameters", "bytes", "flops", "latency_ms", "latency_ms_p95", "latency_ms_32",
)  # fmt: skip
# Metrics that lie in [0, 1], and are shown in per cent.
SHARES = (
    "accuracy",
    "balanced_accuracy",
    "mutual_accuracy",
    "error_rate",
    "agreement",
    "agreement_where_teacher_errs",
    "bayes_agreement",
)
CHOICES = {
    "metric": METRICS,
    "correction": get_args(Correction),
    "split": (*SPLITS, "cost", "distribution"),
}


def comparison_problems(comparison: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the `comparison` of a config; None is none."""
    if comparison is None:
        return
    known = isinstance(comparison, dict) and {"about", *comparison} == set(KEYS)
    if not (known and isinstance(comparison["rows"], list)):
        yield (
            f"comparison={shown(comparison)}: must be null, or have the keys {', '.join(KEYS)}: `rows` is a "
            "list, and `about` may be left out"
        )
        return
    yield from text("comparison.dataset", comparison["dataset"])
    if not isinstance(comparison["source"], str | None):
        yield f"comparison.source={shown(comparison['source'])}: must be a text, or null"
    yield from _about_problems(comparison.get("about"), config)
    for i, row in enumerate(comparison["rows"]):
        yield from _row_problems(f"comparison.rows[{i}]", row)


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return a config's value at a dotted key.

    Raises:
        KeyError: with the path that the config lacks.
    """
    value: Any = config
    names = key.split(".")
    for i, name in enumerate(names):
        if not (isinstance(value, Mapping) and name in value):
            raise KeyError(".".join(names[: i + 1]))
        value = value[name]
    return value


def _about_problems(about: Any, config: Mapping[str, Any]) -> Iterator[str]:
    if about is not None and not isinstance(about, dict):
        example = "{data.held_out_classes: [3]}"
        yield f"comparison.about={shown(about)}: must be a mapping of the config's keys, such as {example}"
        return
    for key in about or ():
        try:
            value_at(config, str(key))
        except KeyError as error:
            (missing,) = error.args
            if not any(part in VARIABLE for part in missing.split(".")[:-1]):
                yield f"comparison.about.{key}: the config has no key {missing}"


def _row_problems(at: str, row: Any) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f"{at}={shown(row)}: must be a mapping with the keys {', '.join(ROW_KEYS)}"
        return
    yield from key_problems(at, row, ROW_KEYS, ("show", "arm", "metric"))
    yield from text(f"{at}.show", row["show"]) if "show" in row else ()
    yield from selection_problems(at, row)
    if not (row.get("source") is None or is_finite(row["source"])):
        yield f"{at}.source={shown(row['source'])}: must be a finite number, or left out where the source has none"


def key_problems(at: str, given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> Iterator[str]:
    """Yield a line for the first unknown key, and one for the first missing key."""
    if unknown := [key for key in given if key not in known]:
        yield f"{at}.{unknown[0]}: no such key; there are {', '.join(known)}"
    if missing := [key for key in needed if key not in given]:
        yield f"{at}.{missing[0]}: is missing"


def selection_problems(at: str, selection: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the values that select a number of a result; keys that are left out are right."""
    full = {**SELECTION, **selection}
    yield from text(f"{at}.arm", full["arm"]) if "arm" in full else ()
    for key, known in CHOICES.items():
        yield from choice(f"{at}.{key}", full[key], known) if key in full else ()
    classes = full["classes"] if isinstance(full["classes"], list) else [full["classes"]]
    if not classes or not all(is_integer(it, least=0) or it in GROUPS or str(it).isdecimal() for it in classes):
        yield f"{at}.classes={shown(full['classes'])}: must be all, seen, unseen, a class's index, or a list of these"
