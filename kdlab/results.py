"""The schema of results.json: what a run found, written whole or not at all, and checked when read."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from kdlab.errors import KdlabError
from kdlab.whole_files import write_json

SCHEMA_VERSION = 2
SPLITS = ("train", "val", "test")
Correction = Literal["none", "prior", "oracle"]


@dataclass(frozen=True)
class Row:
    """One number of a result.

    `arm`: teacher, baseline, distilled, …, or bayes, the Bayes rule where it is known.
    `split`: what it was measured on (train, val, test), or distribution or cost for what needs no samples.
    `classes`: all, seen, unseen, or a class index. `correction`: none, prior or oracle.
    `metric`: accuracy (0 to 1), errors (a count), nll (nats), ece (0 to 1), agreement (with the teacher, 0 to 1),
    offset (what a correction adds to a logit); where the posterior is known excess_risk and bayes_agreement (0 to 1),
    bayes_error (0 to 1) and its standard_error; as cost parameters, bytes and latency_ms.
    `n`: samples behind it, 0 for what is exact.
    """

    arm: str
    split: str
    classes: str
    correction: Correction
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class Fit:
    """One trained network: `key` is its content key, `reused` whether it was taken from an earlier run."""

    arm: str
    key: str
    reused: bool
    epochs: int
    seconds: float
    parameters: int


@dataclass(frozen=True)
class Results:
    """All that a run found; `equations` has what each fit minimizes."""

    experiment: str
    dataset: str
    seed: int
    held_out_classes: list[int]
    config: dict[str, Any]
    environment: dict[str, Any]
    fits: list[Fit]
    rows: list[Row]
    equations: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def shown_split(self) -> str:
        """The split that tables and figures show: test or, where the run leaves that alone, the last measured on."""
        splits = [row.split for row in self.rows if row.metric == "accuracy"]
        return "test" if "test" in splits or not splits else splits[-1]

    def find(self, arm: str, classes: str, metric: str, correction: str = "none", split: str = "test") -> Row | None:
        """Return the one row with these properties, if there is one."""
        wanted = (arm, split, classes, correction, metric)
        return next((r for r in self.rows if (r.arm, r.split, r.classes, r.correction, r.metric) == wanted), None)


class InvalidResults(KdlabError, ValueError):
    """A file that is no results.json of this schema."""


def write(results: Results, path: Path) -> None:
    """Write results.json atomically: a reader finds the whole file or none.

    Raises:
        ValueError: when a value is not finite.
    """
    write_json(asdict(results), path)


def read(path: Path) -> Results:
    """Read results.json.

    Raises:
        InvalidResults: naming the file and what is wrong with it.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidResults(f"{path}: not readable as JSON: {error}") from error
    if isinstance(content, dict) and content.get("schema_version") == 1:  # which did not tell the equations
        content |= {"equations": {}, "schema_version": SCHEMA_VERSION}
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        version = content.get("schema_version") if isinstance(content, dict) else None
        raise InvalidResults(f"{path}: schema_version is {version}, this kdlab reads {SCHEMA_VERSION}")
    try:
        content["fits"] = [_build(Fit, item) for item in content["fits"]]
        content["rows"] = [_build(Row, item) for item in content["rows"]]
        return _build(Results, content)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidResults(f"{path}: not a results.json of schema {SCHEMA_VERSION}: {error}") from error


def _build(kind: Any, item: dict[str, Any]) -> Any:
    expected = {field.name: field.type for field in fields(kind)}
    if set(item) != set(expected):
        raise ValueError(f"{kind.__name__} has the keys {sorted(item)}, not {sorted(expected)}")
    for name, wanted in expected.items():
        value = item[name]
        if wanted is Correction:
            right = value in get_args(Correction)
        elif wanted is float:
            right = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            container: Any = getattr(wanted, "__origin__", wanted)
            right = isinstance(value, container) and (wanted is bool or not isinstance(value, bool))
        if not right:
            raise ValueError(f"{kind.__name__}.{name} is {value!r}")
    return kind(**item)
