"""Make a sweep's tables: settings with means over seeds, fits, and the best points by validation."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from kdlab.claims.statistics import mean_interval
from kdlab.report.rows import GROUPS, IN_COLUMNS, only, over_seeds, split_of
from kdlab.report.settings import assigned, at, keys_of
from kdlab.report.tables import Table, spread
from kdlab.results import Fit, Results

# Keys of the data that leave accuracies comparable: they say how samples are fed, or how many there are.
SAME_MEASURE = (
    "batch_size", "passes_per_epoch", "train_samples", "val_size", "image_size", "channels", "skip_unreadable", "cache",
    "fallback",
)  # fmt: skip


def settings_table(settings: pd.DataFrame, keys: Sequence[str]) -> Table:
    """Return accuracy and errors of each arm at each setting: mean ± half of its 95 % interval over n fits.

    Measured on the test set, or else on the split there is. A key is blank for arms that it does not affect.
    """
    keys = [key for key in keys if key in keys_of(settings)]
    by = ["arm", *keys, "correction"]
    cells = _cells(settings, by)
    groups = [group for group in IN_COLUMNS if cells["accuracy", group].any()]
    cells = cells[[*(("accuracy", group) for group in groups), ("errors", "all"), ("n", "")]]
    header = ["arm", *keys, "correction", *(f"{group}, %" for group in groups), "errors", "n"]
    on = f"On {split_of(settings)} samples: mean ± half of its 95 % interval (t) over n fits (seeds)"
    caption = f"{on}; a key is blank for arms that it does not affect"
    rows = [[*place, *line] for place, *line in cells.itertuples()]
    hover = _each_seed(settings, by, cells, first=len(by))
    return Table("settings", caption, header, rows, labels=len(by), hover=hover)


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
    header = ["fit", "in runs", "different", "trained by these runs", "seconds each, mean ± sd", "seconds in total"]
    return Table("fits", "Fits; those with the same content key are trained once", header, rows)


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return "| " + " | ".join(escaped(cell.replace("\n", "; ")) for cell in cells) + " |"


def escaped(text: str) -> str:
    """Return a text that stays as it is, in one line, where Markdown is read: no HTML, no link, no end of a cell."""
    return re.sub(r"([\\`|*<&]|(?<=\])\()", r"\\\1", " ".join(text.split()))


class Best(NamedTuple):
    """The best of an arm's settings by validation, among those that can be compared: that share the values of `where`.

    `validation` is its mean validation accuracy, `points` the number of settings to choose from, `equal` the number of
    those with this accuracy, `first` whether one of these has the same cross-entropy, too; `rows` its rows.
    `alike` is the number of other settings that cannot be told apart from it: the 95 % interval of the difference in
    validation accuracy, paired by seed, contains 0; None with fewer than two seeds.
    """

    arm: str
    where: dict[str, str]
    values: dict[str, str]
    validation: float
    points: int
    equal: int
    first: bool
    rows: pd.DataFrame
    alike: int | None


def best_by_validation(settings: pd.DataFrame) -> list[Best]:
    """Return the setting with the highest mean validation accuracy, for each arm with a choice of settings.

    Validation excludes held-out classes, as in the choice of an epoch. If accuracies are equal, the lower cross-entropy
    decides. Test rows are not used. Settings with fewer seeds than others are excluded; so are arms without `val` rows.
    Settings are compared only where they are measured on the same data and classes, and where their fits differ.
    """
    keys = keys_of(settings)
    by = ["arm", *keys]
    measured = only(settings, split="val", classes=["all", "seen"], metric=["accuracy", "nll"], correction="none")
    means = over_seeds(measured, [*by, "classes", "metric"])["mean"].unstack("metric")
    # `last` takes `seen`, or `all` if there is none. Rounding makes equal means equal, whatever the order of the sums.
    points = means.groupby(by, observed=True).last().reindex(columns=["accuracy", "nll"]).round(12)
    fits = settings.groupby(by, observed=True)["fit"].agg(frozenset).rename("fits")
    points = points.dropna(subset="accuracy").join(fits)
    drawn = only(measured, metric="accuracy").groupby([*by, "draw", "classes"], observed=True)["value"].mean()
    each = drawn.groupby([*by, "draw"], observed=True).last().unstack("draw")
    found = []
    for (arm, *place), candidates in points.groupby(["arm", *filter(changes_the_measure, keys)], observed=True):
        counts = candidates["fits"].map(len)
        candidates = candidates[counts == counts.max()]
        if candidates["fits"].nunique() > 1:
            found.append(_best(settings, str(arm), by, len(place), candidates, each.loc[candidates.index]))
    return found


def changes_the_measure(key: str) -> bool:
    """Return whether accuracies at different values of a key of the config are of different classes or data."""
    part, _, last = key.partition(".")
    return last.endswith("held_out_classes") or key == "dataset" or (part == "data" and last not in SAME_MEASURE)


def _best(
    settings: pd.DataFrame, arm: str, by: list[str], places: int, candidates: pd.DataFrame, each: pd.DataFrame
) -> Best:
    ranked = candidates.sort_values(["accuracy", "nll"], ascending=[False, True])
    best, equal = ranked.iloc[0], candidates["accuracy"] == ranked["accuracy"].iloc[0]
    same = int((equal & (candidates["nll"] == best["nll"])).sum())
    place: Any = best.name
    values = {key: value for key, value in zip(by[1:], place[1:], strict=True) if value}
    where = {key: value for key, value in values.items() if places and changes_the_measure(key)}
    chosen = {key: value for key, value in values.items() if key not in where}
    rows, alike = at(settings, by, place), _alike(each, place)
    return Best(arm, where, chosen, best["accuracy"], len(candidates), int(equal.sum()), same > 1, rows, alike)


def _alike(each: pd.DataFrame, best: Any) -> int | None:
    """Return how many settings cannot be told apart from the best, see `Best`.

    Args:
        each: a line for each setting, a column for each draw: accuracies, NaN for none.
        best: the place of the best setting.
    """
    differences = [line.dropna().tolist() for _, line in each.drop(index=[best]).rsub(each.loc[best]).iterrows()]
    if max(map(len, differences)) < 2:
        return None
    intervals = [mean_interval(line) for line in differences if len(line) > 1]
    told_apart = sum(not interval.low <= 0 <= interval.high for interval in intervals)
    return len(differences) - told_apart


def best_lines(best: Best) -> Iterator[str]:
    """Yield a sentence about the choice, then one about its test results without and with correction `prior`."""
    arm = " at ".join([best.arm, *filter(None, [_assigned(best.where)])])
    classes = " of the seen classes" if len(only(best.rows, split="val", classes="seen")) else ""
    share = f"{100 * best.validation:.2f} %{classes}, mean of {best.rows['run'].nunique()}"
    which = _assigned(best.values)
    if best.equal == 1:
        yield f"{arm}: {which} is the best of {best.points} points by validation ({share})"
    else:
        equal = f"all {best.points}" if best.equal == best.points else f"{best.equal} of {best.points}"
        why = (
            "is the first of them, with the same cross-entropy"
            if best.first
            else "has the lowest cross-entropy of them"
        )
        yield f"{arm}: {equal} points are equally good by validation ({share}); {which} {why}"
    if best.alike is None:
        yield "how sure this choice is cannot be said from one seed"
    else:
        yield (
            f"{best.alike} of the {best.points - 1} others cannot be told apart from it by validation: the 95 % "
            "interval of the difference, paired by seed, contains 0"
        )
    split = split_of(best.rows)
    for correction, line in _cells(best.rows, ["correction"], digits=1).drop("oracle", errors="ignore").iterrows():
        unseen = line.get(("accuracy", "unseen"))
        yield (
            f"{best.arm} at this point, on {split}{'' if correction == 'none' else f', correction {correction}'}: "
            f"{line['accuracy', 'all']} %, {line['errors', 'all']} errors"
            + (f"; unseen classes {unseen} %" if unseen else "")
        )


def _assigned(values: dict[str, str]) -> str:
    return ", ".join(assigned(list(values), list(values.values())))


def _each_seed(
    settings: pd.DataFrame, by: Sequence[str], cells: pd.DataFrame, *, first: int
) -> dict[tuple[int, int], str]:
    """Return each seed's share in a mean, by the place of the mean's cell in a table that begins at `first`."""
    test = only(settings, split=split_of(settings), metric=["accuracy", "errors"], classes=GROUPS)
    if not test.duplicated([*by, "metric", "classes"]).any():
        return {}
    shown = [
        f"seed {draw}: {100 * value:.2f} %" if metric == "accuracy" else f"seed {draw}: {value:,.0f}"
        for draw, metric, value in zip(test["draw"], test["metric"], test["value"], strict=True)
    ]
    each = test.assign(shown=shown).groupby([*by, "metric", "classes"], observed=True, dropna=False)["shown"]
    texts = each.agg("; ".join).where(each.size() > 1).dropna().to_dict()
    return {
        (line, first + column): texts[(*place, *of)]
        for line, place in enumerate(cells.index)
        for column, of in enumerate(cells.columns)
        if (*place, *of) in texts
    }


def _cells(settings: pd.DataFrame, by: Sequence[str], *, digits: int | None = None) -> pd.DataFrame:
    """Return accuracy in per cent, errors and n as text, in columns (metric, classes), a line for each group.

    Measured on `split_of(settings)`. `digits` are those of the errors; by default a mean has one, a single number none.
    """
    test = only(settings, split=split_of(settings), metric=["accuracy", "errors"], classes=GROUPS)
    test = test.assign(value=test["value"].mask(test["metric"] == "accuracy", 100 * test["value"]))
    stats = over_seeds(test, [*by, "metric", "classes"])
    stats["text"] = [
        spread(mean, half, digits=2 if metric == "accuracy" else int(n > 1) if digits is None else digits)
        for (*_, metric, _), mean, half, n in stats.itertuples()
    ]
    columns = pd.MultiIndex.from_product([["accuracy", "errors"], GROUPS])
    cells, counts = (
        stats[name].unstack(["metric", "classes"], fill_value=blank).reindex(columns=columns, fill_value=blank)
        for name, blank in (("text", ""), ("count", 0))
    )
    cells["n", ""] = counts["errors", "all"].astype(str)
    return cells[cells["accuracy", "all"] != ""]
