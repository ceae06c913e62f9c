"""Make a sweep's tables: settings with means over seeds, fits, and the best points by validation."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import pandas as pd

from kdlab.report.rows import GROUPS, only, over_seeds
from kdlab.report.settings import assigned, at, keys_of
from kdlab.report.tables import Table
from kdlab.results import Fit, Results


def settings_table(settings: pd.DataFrame, keys: Sequence[str]) -> Table:
    """Return test accuracy and errors of each arm at each setting: mean ± sample standard deviation over n fits.

    A key is blank for arms that it does not affect.
    """
    keys = [key for key in keys if key in keys_of(settings)]
    cells = _test_cells(settings, ["arm", *keys, "correction"])
    groups = [group for group in GROUPS if cells["accuracy", group].any()]
    cells = cells[[*(("accuracy", group) for group in groups), ("errors", "all"), ("n", "")]]
    header = ["arm", *keys, "correction", *(f"{group}, %" for group in groups), "errors", "n"]
    caption = "Mean ± standard deviation over n fits (seeds); a key is blank for arms that it does not affect"
    rows = [[*place, *line] for place, *line in cells.itertuples()]
    return Table("settings", caption, header, rows, labels=len(keys) + 2)


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    ruler = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    return "\n".join(map(_line, [table.header, ruler, *table.rows]))


def arms_table(results: Iterable[Results]) -> Table:
    """Return each arm's fits: how many there are, how many differ or were trained by these runs, and their seconds."""
    fits = [msgspec.structs.asdict(fit) for found in results for fit in found.fits]
    rows = []
    for arm, own in pd.DataFrame(fits, columns=Fit.__struct_fields__).groupby("arm", sort=False):
        seconds = own.drop_duplicates("key", keep="last")["seconds"]
        trained = own["key"][~own["reused"]].nunique()
        took = spread(seconds.mean(), seconds.std(), digits=1), f"{seconds.sum():,.0f}"
        rows.append([str(arm), *map(str, (len(own), len(seconds), trained)), *took])
    header = ["fit", "in runs", "different", "trained by these runs", "seconds each", "seconds in total"]
    return Table("fits", "Fits; those with the same content key are trained once", header, rows)


def spread(mean: float, sd: float, *, digits: int) -> str:
    """Return mean ± standard deviation as text; only the mean if `sd` is NaN."""
    return f"{mean:.{digits}f}" if pd.isna(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Best(NamedTuple):
    """The best of an arm's settings by validation.

    `validation` is its mean validation accuracy, `points` the number of settings to choose from, `rows` its rows.
    """

    arm: str
    values: dict[str, str]
    validation: float
    points: int
    rows: pd.DataFrame


def best_by_validation(settings: pd.DataFrame) -> list[Best]:
    """Return the setting with the highest mean validation accuracy, for each arm with a choice of settings.

    Validation excludes held-out classes, as in the choice of an epoch. If accuracies are equal, the lower cross-entropy
    decides. Test rows are not used. Settings with fewer seeds than others are excluded; so are arms without `val` rows.
    """
    by = ["arm", *keys_of(settings)]
    measured = only(settings, split="val", classes=["all", "seen"], metric=["accuracy", "nll"])
    means = over_seeds(measured, [*by, "classes", "metric"])["mean"].unstack("metric")
    # `last` takes `seen`, or `all` if there is none. Rounding makes equal means equal, whatever the order of the sums.
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
    """Yield a sentence about the choice, then one about its test results without and with correction `prior`."""
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
            f"{best.arm} at this point, on test{'' if correction == 'none' else f', correction {correction}'}: "
            f"{line['accuracy', 'all']} %, {line['errors', 'all']} errors"
            + (f"; unseen classes {unseen} %" if unseen else "")
        )


def _test_cells(settings: pd.DataFrame, by: Sequence[str], *, digits: int | None = None) -> pd.DataFrame:
    """Return test accuracy in per cent, errors and n as text, in columns (metric, classes), a line for each group.

    `digits` are those of the errors; by default a mean has one, a single number none.
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
