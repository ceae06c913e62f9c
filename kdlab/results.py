"""The schema of results.json: what a run found, written whole or not at all, and checked when read."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import Annotated, Any, Literal

import msgspec

from kdlab.errors import KdlabError
from kdlab.files import write_json
from kdlab.limits import NAME

SCHEMA_VERSION = 3
SPLITS = ("train", "val", "test")
Correction = Literal["none", "prior", "oracle"]
# Arms' names are names of files.
Arm = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME.pattern}\Z")]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One number of a result.

    `arm`: teacher, baseline, distilled, …, or bayes for the Bayes rule, if it is known.
    `split`: train, val or test; distribution or cost for numbers that need no samples.
    `classes`: all, seen, unseen, or a class index. `correction`: none, prior or oracle.
    `metric`: accuracy and balanced_accuracy (0 to 1), errors (a count), nll (nats), ece (0 to 1), agreement (with the
    arm's teacher, 0 to 1), offset (added to a logit by a correction); if the posterior is known, excess_risk and
    bayes_agreement (0 to 1), bayes_error (0 to 1) and its standard_error; for the split cost: parameters, bytes and
    latency_ms.
    `n`: the number of samples behind it; 0 for exact numbers.
    """

    arm: str
    split: str
    classes: str
    correction: Correction
    metric: str
    value: int | float
    n: int


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trained network: `key` is its content key; `reused` says whether an earlier run had trained it.

    `stack` is the number of fits that were trained as one stack, 1 for one alone; `seconds` is its share of their time.
    `threads` is the number of a CPU's threads that it had, 0 where that is not known; fits that were trained side by
    side had one each, and their seconds passed at the same time.
    For a student, `targets` says what it learned from, and `teacher` names the fit that it is compared with.
    """

    arm: Arm
    key: str
    reused: bool
    epochs: int
    seconds: float
    parameters: int
    targets: str | None = None
    teacher: str | None = None
    stack: int = 1
    threads: int = 0


class Disagreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How two networks, each an arm with a correction, answer the same samples of a split.

    `first_alone` samples are right in the first and wrong in the second, `second_alone` the other way round.
    """

    split: str
    classes: str
    first: tuple[str, Correction]
    second: tuple[str, Correction]
    first_alone: int
    second_alone: int


class Scaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How stored inputs become what networks see: (x / divisor − mean) / std, mean and std for each channel.

    Without `mean` and `std` inputs are only divided.
    """

    divisor: int | float
    mean: list[float] | None = None
    std: list[float] | None = None


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network of the run takes and tells: the shape of one sample, and the names of the classes.

    `scaling` is None for a data set that scales its inputs by code of its own.
    """

    shape: list[int]
    class_names: list[str]
    scaling: Scaling | None


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """All results of a run; `equations` holds each fit's loss, `inputs` what its networks take.

    `notes` are sentences that a reader of the rows must know, such as why a correction is missing. `failed` says why
    fits by these names have no rows. `disagreements` are counted for claims about the difference of two networks.
    """

    experiment: str
    dataset: str
    seed: int
    held_out_classes: list[int]
    config: dict[str, Any]
    environment: dict[str, Any]
    fits: list[Fit]
    rows: list[Row]
    equations: dict[str, str] = {}
    inputs: Inputs | None = None
    notes: list[str] = []
    failed: dict[str, str] = {}
    disagreements: list[Disagreement] = []
    schema_version: int = SCHEMA_VERSION

    @property
    def shown_split(self) -> str:
        """The split that tables and figures show: test, or else the last one that was measured."""
        splits = [row.split for row in self.rows if row.metric == "accuracy"]
        return "test" if "test" in splits or not splits else splits[-1]

    def class_name(self, index: int) -> str:
        """Return the name of a class; its index for results of an earlier kdlab, which did not name them."""
        return self.inputs.class_names[index] if self.inputs else str(index)

    @cached_property
    def _rows_by_place(self) -> dict[tuple[str, ...], Row]:
        return {(r.arm, r.split, r.classes, r.correction, r.metric): r for r in reversed(self.rows)}

    def find(self, arm: str, classes: str, metric: str, correction: str = "none", split: str = "test") -> Row | None:
        """Return the one row with these properties, if there is one."""
        return self._rows_by_place.get((arm, split, classes, correction, metric))

    def value(
        self, arm: str, classes: Sequence[str], metric: str, correction: str = "none", split: str = "test"
    ) -> float | None:
        """Return the mean over `classes` of a row's metric, `correct` (n − errors) or `error_rate` (errors / n).

        None if the row of one of the classes is missing.
        """
        rows = [self.find(arm, name, DERIVED.get(metric, metric), correction, split) for name in classes]
        found = [_derived(row, metric) for row in rows if row]
        return sum(found) / len(found) if len(found) == len(rows) else None


# Metrics that have no rows, and those from whose rows they are derived.
DERIVED = {"correct": "errors", "error_rate": "errors"}


def _derived(row: Row, metric: str) -> float:
    if metric == "correct":
        return row.n - row.value
    return row.value / row.n if metric == "error_rate" else row.value


class _Version(msgspec.Struct):
    schema_version: int


class InvalidResults(KdlabError, ValueError):
    """A file that is not a results.json of a known schema."""


def write(results: Results, path: Path) -> None:
    """Write results.json.

    Raises:
        ValueError: when a value is not finite.
    """
    write_json(msgspec.to_builtins(results), path)


def read(path: Path) -> Results:
    """Read results.json, of this schema or of an earlier one.

    Raises:
        InvalidResults: naming the file and what is wrong with it.
    """
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Version).schema_version
        if not 1 <= version <= SCHEMA_VERSION:
            raise InvalidResults(f"{path}: schema_version is {version}, this kdlab reads 1 to {SCHEMA_VERSION}")
        results = msgspec.json.decode(text, type=Results)
        if problem := _problem(results):
            raise InvalidResults(f"{path}: {problem}")
        results = msgspec.structs.replace(results, rows=list(map(_slim, results.rows)))
        return results if version == SCHEMA_VERSION else _upgraded(results)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidResults(f"{path}: not a results.json of schema {SCHEMA_VERSION}: {error}") from error


def _slim(row: Row) -> Row:
    """Return the row with words that all rows share: a sweep's results hold hundreds of thousands of rows."""
    return Row(
        intern(row.arm), intern(row.split), intern(row.classes), row.correction, intern(row.metric), row.value, row.n
    )


def _problem(results: Results) -> str | None:
    """Return in what results differ from those that runs write, where the schema alone does not say it."""
    if not results.fits or not results.rows:
        return f"it has no {'rows' if results.fits else 'fits'}"
    if strange := sorted({row.arm for row in results.rows} - {"bayes", *(fit.arm for fit in results.fits)}):
        return f"it has rows, but no fit, of {', '.join(map(repr, strange))}"
    names = results.inputs.class_names if results.inputs else None
    if names is not None and any(not 0 <= c < len(names) for c in results.held_out_classes):
        return f"held_out_classes={results.held_out_classes}: there are {len(names)} classes"
    return None


def _upgraded(results: Results) -> Results:
    """Return results of schema 1 or 2 with each student's targets and teacher, which only their config told."""
    shared, arms = results.config.get("student") or {}, results.config.get("arms") or {}

    def told(fit: Fit) -> Fit:
        if fit.arm == "teacher":
            return fit
        targets = (arms.get(fit.arm) or {}).get("targets", shared.get("targets"))
        return msgspec.structs.replace(fit, targets=targets, teacher="teacher")

    return msgspec.structs.replace(results, fits=[told(fit) for fit in results.fits], schema_version=SCHEMA_VERSION)
