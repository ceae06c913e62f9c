"""Make the tables of a run, as text for the terminal and the page."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from kdlab.report.averages import Several, averaged
from kdlab.report.rows import IN_COLUMNS, only, rows_of
from kdlab.results import Results

# Costs by metric: how they are headed, and written.
COSTS = {
    "parameters": ("parameters", ",.0f"),
    "bytes": ("bytes on disk", ",.0f"),
    "flops": ("FLOPs for one sample", ",.0f"),
    "latency_ms": ("ms for one sample, on the CPU", ".3g"),
    "latency_ms_p95": ("95th percentile", ".3g"),
    "latency_ms_32": ("ms for 32 samples", ".3g"),
}


class Table(NamedTuple):
    """A table of text cells; the first `labels` columns hold words, the others numbers.

    Further lines of a row's first cell are notes on the row. `hover` holds what the page shows of a cell, by its row
    and column, while the pointer rests on it.
    """

    id: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1
    hover: Mapping[tuple[int, int], str] = MappingProxyType({})


def outcome_table(results: Results) -> Table:
    """Return accuracy and errors of teachers and arms on all, seen and unseen classes, for each bias correction.

    Measured on `results.shown_split`. The header gives the number of samples if it is the same for all arms.
    """
    rows = only(rows_of([results]), split=results.shown_split, metric=["accuracy", "errors"])
    groups = IN_COLUMNS if (rows["classes"] == "unseen").any() else ("all",)
    header = ["arm", "correction"]
    for group in groups:
        sizes = only(rows, metric="accuracy", classes=group)["n"].unique()
        header += [f"{group}\n{sizes[0]:,}" if len(sizes) == 1 else group, "errors"]
    figures = zip(rows["metric"], rows["value"], strict=True)
    text = [per_cent(value) if metric == "accuracy" else f"{value:,.0f}" for metric, value in figures]
    by = ["arm", "correction", "classes", "metric"]
    cells = rows.assign(text=text).groupby(by, observed=True)["text"].first().unstack(["classes", "metric"])
    columns = pd.MultiIndex.from_product([groups, ["accuracy", "errors"]])
    lines = cells.reindex(columns=columns).dropna(how="all").fillna("").itertuples()
    caption = f"Accuracy and errors on {measured_on(results)}"
    return Table("outcome", caption, header, [[*at, *line] for at, *line in lines], labels=2)


def per_cent(share: float, half: float = math.nan) -> str:
    """Return a share, or a mean of shares and half of its interval, in per cent with two decimals."""
    return f"{spread(100 * share, 100 * half, digits=2)} %"


def spread(mean: float, deviation: float, *, digits: int) -> str:
    """Return mean ± deviation as text; only the mean if `deviation` is NaN."""
    return f"{mean:.{digits}f}" if math.isnan(deviation) else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def measured_on(results: Results) -> str:
    """Name the split that the shown numbers were measured on."""
    split = results.shown_split
    return "the test set, used once, after training" if split == "test" else f"the {split} split"


def unlabelled_samples(results: Results) -> str:
    """Name the samples that correction `prior` was fitted on; empty if the run has no such correction."""
    fitted = next((r for r in results.rows if (r.metric, r.correction) == ("offset", "prior")), None)
    return f"on {fitted.n:,} {fitted.split} samples of all classes" if fitted else ""


def per_class_table(results: Several, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]) -> Table:
    """Return the uncorrected accuracy of each arm on each class, in brackets if the arm never saw the class.

    Of several runs that differ in their seeds alone, the mean ± half of its 95 % interval.
    """
    found = averaged(results)

    def cell(arm: str, c: int) -> str:
        share = found.find(arm, str(c), "accuracy")
        text = per_cent(share.value, share.half) if share else ""
        return f"[{text}]" if text and c in held_out.get(arm, ()) else text

    over = f" over {found.called}: mean ± half of its 95 % interval (t)" if found.runs > 1 else ""
    caption = f"Accuracy on each class{over}, in brackets if the arm never saw the class"
    lines = [[name, *(cell(arm, c) for arm in found.arms)] for c, name in enumerate(class_names)]
    return Table("per_class", caption, ["class", *found.arms], lines)


def fits_table(results: Results) -> Table:
    """Return each fit's parameters, epochs and training time, and whether it was trained, reused or given."""
    rows = []
    for fit in results.fits:
        now = "trained" if not fit.reused else "reused" if fit.epochs else "given"
        rows.append([fit.arm, now, f"{fit.parameters:,}", str(fit.epochs), f"{fit.seconds:,.1f}", fit.key])
    header = ["fit", "now", "parameters", "epochs", "seconds to train", "content key"]
    return Table("fits", "Fits; equal content keys mean equal networks", header, rows, labels=2)


def cost_table(results: Results) -> Table | None:
    """Return what each network costs, and in brackets as a share of the teacher's; None if costs were not measured."""
    rows = only(rows_of([results]), split="cost").astype({"value": float})
    if rows.empty:
        return None
    found = rows.groupby(["arm", "metric"], observed=True)["value"].first().unstack()
    found = found[[name for name in COSTS if name in found]]  # an earlier kdlab measured fewer
    teacher = found.iloc[0]
    lines = []
    for arm, costs in found.iterrows():
        shares = costs / teacher
        cells = [
            f"{cost:{COSTS[name][1]}}" + (f" ({share:.0%})" if arm != found.index[0] else "")
            for name, cost, share in zip(found.columns, costs, shares, strict=True)
        ]
        lines.append([str(arm), *cells])
    caption = f"Cost of each network, and its share of the {found.index[0]}'s"
    return Table("costs", caption, ["fit", *(COSTS[str(name)][0] for name in found)], lines)


def environment_table(environments: Sequence[Mapping[str, object]]) -> Table:
    """Return machine, versions, and checksums of code and data; if runs differ, all values."""
    columns = pd.DataFrame(list(environments), dtype=object).drop(columns="command", errors="ignore").items()
    rows = [[str(name), " · ".join(column[column.notna()].map(str).unique())] for name, column in columns]
    return Table(
        "environment", "Machine, versions, and the checksums of code and data", ["what", "value"], rows, labels=2
    )


def equations_table(equations: Iterable[tuple[str, str]]) -> Table:
    """Return each fit's loss from pairs (arm, equation); arms with the same equation share a line."""
    different = pd.DataFrame(list(equations), columns=["arm", "equation"]).drop_duplicates()
    shared = different.groupby("equation", sort=False)["arm"].agg(", ".join)
    rows = [[arms, str(equation)] for equation, arms in shared.items()]
    return Table("equations", "Each fit's loss", ["fit", "loss"], rows, labels=2)
