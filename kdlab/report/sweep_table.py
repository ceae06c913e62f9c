"""The numbers of a sweep: the table over seeds, what was trained, and the best point by validation."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import pandas as pd

from kdlab.report.rows import GROUPS, only, over_seeds
from kdlab.report.settings import assigned, at, keys_of
from kdlab.report.tables import Table
from kdlab.results import Fit, Results


def settings_table(settings: pd.DataFrame, keys: Sequence[str]) -> Table:
    """Return test accuracy and errors of each arm at each setting, as mean ± sample standard deviation over n fits.

    A key that does not matter to an arm is blank there.
    """
    keys = [key for key in keys if key in keys_of(settings)]
    cells = _test_cells(settings, ["arm", *keys, "correction"])
    groups = [group for group in GROUPS if cells["accuracy", group].any()]
    cells = cells[[*(("accuracy", group) for group in groups), ("errors", "all"), ("n", "")]]
    header = ["arm", *keys, "correction", *(f"{group}, %" for group in groups), "errors", "n"]
    caption = "Mean ± standard deviation over n fits (seeds); a key that does not matter to an arm is blank"
    rows = [[*place, *line] for place, *line in cells.itertuples()]
    return Table("settings", caption, header, rows, labels=len(keys) + 2)


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    ruler = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    return "\n".join(map(_line, [table.header, ruler, *table.rows]))


def arms_table(results: Iterable[Results]) -> Table:
    """Return what the fits of each arm took, each different fit once, and how many of them the runs trained."""
    fits = [msgspec.structs.asdict(fit) for found in results for fit in found.fits]
    rows = []
    for arm, own in pd.DataFrame(fits, columns=Fit.__struct_fields__).groupby("arm", sort=False):
        seconds = own.drop_duplicates("key", keep="last")["seconds"]
        trained = own["key"][~own["reused"]].nunique()
        took = spread(seconds.mean(), seconds.std(), digits=1), f"{seconds.sum():,.0f}"
        rows.append([str(arm), *map(str, (len(own), len(seconds), trained)), *took])
    header = ["fit", "in runs", "different", "trained by these runs", "seconds each", "seconds in all"]
    return Table("fits", "Fits: what has the same content key is trained once", header, rows)


def spread(mean: float, sd: float, *, digits: int) -> str:
    """Return mean ± standard deviation; the mean alone where there is no deviation, of one value."""
    return f"{mean:.{digits}f}" if pd.isna(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Best(NamedTuple):
    """The setting of an arm that validation prefers, out of `points`, with its mean accuracy there and its rows."""

    arm: str
    values: dict[str, str]
    validation: float
    points: int
    rows: pd.DataFrame


def best_by_validation(settings: pd.DataFrame) -> list[Best]:
    """Return for each arm with several settings the one with the highest mean validation accuracy.

    Held-out classes do not count in it, as they do not in a student's own selection; between equals the lower
    cross-entropy decides. The test set has no part in the choice. Settings that lack seeds which others have are no
    candidates; arms that were not measured on `val` are left out.
    """
    by = ["arm", *keys_of(settings)]
    measured = only(settings, split="val", classes=["all", "seen"], metric=["accuracy", "nll"])
    means = over_seeds(measured, [*by, "classes", "metric"])["mean"].unstack("metric")
    # `seen` is the last, if it is there; rounded, equal means are equal in whatever order they were summed.
    points = means.groupby(by, observed=True).last().reindex(columns=["accuracy", "nll"]).round(12)
    points = points.dropna(subset="accuracy").join(settings.groupby(by, observed=True)["run"].nunique().rename("fits"))
    found = []
    for arm, candidates in points.groupby("arm", observed=True):
        candidates = candidates[candidates["fits"] == candidates["fits"].max()]
        if len(candidates) > 1:
            best = candidates.sort_values(["accuracy", "nll"], ascending=[False, True]).iloc[0]
            rows = at(settings, by, best.name)
            values = {key: value for key, value in zip(by[1:], best.name[1:], strict=True) if value}
            found.append(Best(str(arm), values, best["accuracy"], len(candidates), rows))
    return found


def best_lines(best: Best) -> Iterator[str]:
    """Yield a sentence on the choice, and one on each test figure of what was chosen."""
    at = ", ".join(assigned(list(best.values), list(best.values.values())))
    classes = " of the seen classes" if len(only(best.rows, split="val", classes="seen")) else ""
    yield (
        f"{best.arm}: {at} is the best of {best.points} points by validation "
        f"({100 * best.validation:.2f} %{classes}, mean of {best.rows['run'].nunique()})"
    )
    cells = _test_cells(best.rows, ["correction"], digits=1)
    for correction, line in cells.drop("oracle", errors="ignore").iterrows():
        unseen = line.get(("accuracy", "unseen"))
        yield (
            f"{best.arm} there, on test{'' if correction == 'none' else f', correction {correction}'}: "
            f"{line['accuracy', 'all']} %, {line['errors', 'all']} errors"
            + (f"; unseen classes {unseen} %" if unseen else "")
        )


def _test_cells(settings: pd.DataFrame, by: Sequence[str], *, digits: int | None = None) -> pd.DataFrame:
    """Return accuracy in per cent and errors on the test set, and n, as text, a line for each group.

    Columns are (metric, classes). Errors have so many digits; by default one where they are a mean.
    """
    test = only(settings, split="test", metric=["accuracy", "errors"], classes=GROUPS)
    test = test.assign(value=test["value"].mask(test["metric"] == "accuracy", 100 * test["value"]))
    stats = over_seeds(test, [*by, "metric", "classes"])
    stats["text"] = [
        spread(mean, sd, digits=2 if metric == "accuracy" else int(n > 1) if digits is None else digits)
        for (*_, metric, _), mean, sd, n in stats.itertuples()
    ]
    columns = pd.MultiIndex.from_product([["accuracy", "errors"], GROUPS])
    cells, counts = (
        stats[name].unstack(["metric", "classes"], fill_value=blank).reindex(columns=columns, fill_value=blank)
        for name, blank in (("text", ""), ("count", 0))
    )
    cells["n", ""] = counts["errors", "all"].astype(str)
    return cells[cells["accuracy", "all"] != ""]
