"""Compare a run with published numbers: the experiment's `comparison` as a table and as a CSV file.

A published number stands beside a run's own only where the run did what the source did: on the same data set, with the
config that `about` states.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.claims.statistics import mean_interval
from kdlab.config.comparison import DEFAULTS, SHARES, comparison_problems, value_at
from kdlab.files import write_csv
from kdlab.report.averages import different_fits
from kdlab.report.rows import GROUPS
from kdlab.report.tables import Table, per_cent
from kdlab.results import InvalidResults, Results


class Line(NamedTuple):
    """One number: what it is, the source's value and this run's value; None for a missing value."""

    show: str
    arm: str
    split: str
    classes: str
    correction: str
    metric: str
    source: float | None
    kdlab: float | None


def comparison_lines(results: Results) -> list[Line]:
    """Return the lines of the experiment's comparison; an empty list if it has no comparison.

    `metric` is a row's metric, `correct` (n − errors) or `error_rate` (errors / n). A list of `classes` gives the mean
    over these classes. Arms that the comparison does not name follow, with what it shows of others. If the run did not
    do what the source did, see `left_out`, lines have no source's value.

    Raises:
        InvalidResults: when the comparison in the run's config, which may have been edited, is none.
    """
    comparison = results.config.get("comparison")
    if problems := [*comparison_problems(comparison, results.config)]:
        raise InvalidResults("\n".join(["the config of the results is not a run's:", *problems]))
    if comparison is None:
        return []
    lines = [_line(results, DEFAULTS | row) for row in comparison["rows"]]
    lines += _unnamed(results, lines)
    return [line._replace(source=None) for line in lines] if left_out(results) else lines


def left_out(results: Results) -> str:
    """Return why the source's values are left out: in what the run differs from the source; else an empty text."""
    sourced = any(row.get("source") is not None for row in results.config["comparison"]["rows"])
    return departures(results) if sourced else ""


def departures(results: Results) -> str:
    """Return in what a run differs from its comparison's source; an empty text if in nothing, or without comparison."""
    comparison = results.config.get("comparison")
    if comparison is None:
        return ""
    dataset = comparison["dataset"]
    found = [] if dataset == results.dataset else [f"for {dataset}, and this run is on {results.dataset}"]
    for key, wanted in (comparison.get("about") or {}).items():
        try:
            own = value_at(results.config, key)
        except KeyError:
            found.append(f"for {key}={_as_typed(wanted)}, which this run's config lacks")
            continue
        if _same(key, wanted, results) != _same(key, own, results):
            found.append(f"for {key}={_as_typed(wanted)}, and this run has {_as_typed(own)}")
    return "; ".join(found)


def _same(key: str, value: Any, results: Results) -> Any:
    """Return a value as it is compared: classes, which may be given by index or by name, as a set of names."""
    if key.endswith("held_out_classes") and isinstance(value, list | None):
        names = results.inputs.class_names if results.inputs else []
        return {names[it] if isinstance(it, int) and it < len(names) else str(it) for it in value or ()}
    return value


def _as_typed(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _unnamed(results: Results, lines: Sequence[Line]) -> Iterator[Line]:
    """Yield lines for arms that none of `lines` names: for each what they show of others, and this run has of it."""
    places = dict.fromkeys((it.split, it.classes, it.correction, it.metric) for it in lines if it.classes in GROUPS)
    named = {line.arm for line in lines}
    for arm in (fit.arm for fit in results.fits if fit.arm not in named):
        for split, classes, correction, metric in places or [(results.shown_split, "all", "none", "accuracy")]:
            where = [f" on {classes}"] if classes != "all" else []
            where += [f", {word}" for word in (split, correction) if word not in ("test", "none", "cost")]
            row = {"arm": arm, "split": split, "classes": classes, "correction": correction, "metric": metric}
            line = _line(results, DEFAULTS | row | {"show": f"{arm} {metric}{''.join(where)}"})
            if line.kdlab is not None:
                yield line


def _line(results: Results, row: dict[str, Any]) -> Line:
    classes = [str(c) for c in (row["classes"] if isinstance(row["classes"], list) else [row["classes"]])]
    mean = results.value(row["arm"], classes, row["metric"], row["correction"], row["split"])
    place = row["show"], row["arm"], row["split"], "+".join(classes), row["correction"], row["metric"]
    return Line(*place, row["source"], mean)


def write_comparison(results: Results, lines: list[Line], path: Path) -> None:
    """Write the lines as a CSV file; missing values are blank.

    `source_dataset` and `dataset` are the data sets of the source and of this run; `left_out` says why the source's
    values are.
    """
    about = results.config["comparison"]["dataset"], results.dataset, left_out(results)
    write_csv(
        path,
        [*Line._fields, "source_dataset", "dataset", "left_out"],
        ([*line[:-2], _plain(line.source), _plain(line.kdlab), *about] for line in lines),
    )


def _plain(value: float | None) -> float | str:
    if value is None:
        return ""
    return int(value) if float(value).is_integer() else value


def comparison_table(results: Results, lines: list[Line]) -> Table:
    """Return the lines as a table; the caption names the source, and says why its values are left out."""
    rows = [[line.show, written(line.source, line.metric), written(line.kdlab, line.metric)] for line in lines]
    return Table("comparison", _caption(results), ["what", "source", "kdlab"], rows)


def comparison_over_seeds(several: Sequence[Results]) -> Table | None:
    """Return the comparison of runs that differ in their seeds alone; None without one.

    kdlab's figures are means over the n different fits, ± half of their 95 % intervals.

    Raises:
        InvalidResults: as `comparison_lines` does.
    """
    different = different_fits(several)
    values: dict[Line, list[float]] = {}
    for number, results in enumerate(several):
        for line in comparison_lines(results):
            found = values.setdefault(line._replace(kdlab=None), [])
            if line.kdlab is not None and number in different.get(line.arm, ()):
                found.append(line.kdlab)
    rows = [
        [line.show, written(line.source, line.metric), _mean(found, line.metric), str(len(found))]
        for line, found in values.items()
    ]
    if not rows:
        return None
    caption = f"kdlab: mean ± half of its 95 % interval (t) over n fits (seeds); {_caption(several[0])}"
    return Table("comparison", caption, ["what", "source", "kdlab", "n"], rows)


def _mean(values: Sequence[float], metric: str) -> str:
    if not values:
        return ""
    mean, low, _ = mean_interval(values)
    if metric in SHARES:
        return per_cent(mean, mean - low)
    if math.isnan(low):
        return written(mean, metric)
    digits = ",.1f" if abs(mean) >= 10 else ".3g"  # of counts, and of risks
    return f"{mean:{digits}} ± {mean - low:{digits}}"


def _caption(results: Results) -> str:
    caption, why = f"source: {results.config['comparison']['source']}", left_out(results)
    return f"{caption}; its figures are left out: they are {why}" if why else caption


def written(value: float | None, metric: str) -> str:
    """Return a metric's value as text: shares in per cent, counts without decimals; blank for None."""
    if value is None:
        return ""
    if metric in SHARES:
        return per_cent(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
