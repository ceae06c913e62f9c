"""The numbers of a sweep: every row with the swept keys, the table over seeds, and the best point by validation."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kdlab.files import write_csv
from kdlab.report.collection import Run, Value
from kdlab.report.settings import Setting, mean_and_sd, values_of
from kdlab.report.tables import CORRECTIONS, Table

ROW = ("arm", "split", "classes", "correction", "metric", "value", "n")
GROUPS = ("all", "seen", "unseen")


def write_rows(runs: Sequence[Run], keys: Sequence[str], path: Path) -> None:
    """Write every row of every run as a CSV file, tidy: the run, the swept keys, and the row."""
    rows = (
        [str(run.folder), *values_of(run, keys).values(), *(getattr(row, name) for name in ROW)]
        for run in runs
        for row in run.results.rows
    )
    write_csv(path, ["run", *keys, *ROW], rows)


def settings_table(settings: Sequence[Setting], keys: Sequence[str]) -> Table:
    """Return test accuracy and errors of each arm at each setting, as mean ± sample standard deviation over n fits.

    A key that does not matter to an arm is blank there.
    """
    groups = [group for group in GROUPS if any(setting.figures("accuracy", group) for setting in settings)]
    shown = [key for key in keys if any(key in setting.values for setting in settings)]
    header = ["arm", *shown, "correction", *(f"{group}, %" for group in groups), "errors", "n"]
    rows = [
        list(_cells(setting, shown, groups, correction))
        for setting in settings
        for correction in CORRECTIONS
        if setting.figures("accuracy", "all", correction)
    ]
    caption = "Mean ± standard deviation over n fits (seeds); a key that does not matter to an arm is blank"
    return Table("settings", caption, header, rows, labels=len(shown) + 2)


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    ruler = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    return "\n".join(map(_line, [table.header, ruler, *table.rows]))


def arms_table(runs: Sequence[Run]) -> Table:
    """Return what the fits of each arm took, each different fit once, and how many of them the runs trained."""
    rows = []
    for arm in dict.fromkeys(arm for run in runs for arm in run.arms):
        fits = [fit for run in runs for fit in run.results.fits if fit.arm == arm]
        different = {fit.key: fit for fit in fits}.values()
        seconds = [fit.seconds for fit in different]
        trained = len({fit.key for fit in fits if not fit.reused})
        rows.append(
            [arm, *map(str, (len(fits), len(seconds), trained)), shown(seconds, digits=1), f"{sum(seconds):,.0f}"]
        )
    header = ["fit", "in runs", "different", "trained by these runs", "seconds each", "seconds in all"]
    return Table("fits", "Fits: what has the same content key is trained once", header, rows)


def _cells(setting: Setting, keys: Sequence[str], groups: Sequence[str], correction: str) -> Iterator[str]:
    yield setting.arm
    yield from (value_shown(setting.values[key]) if key in setting.values else "" for key in keys)
    yield correction
    for group in groups:
        yield shown([100 * value for value in setting.figures("accuracy", group, correction)], digits=2)
    errors = setting.figures("errors", "all", correction)
    yield shown(errors, digits=1 if len(errors) > 1 else 0)
    yield str(len(errors))


def shown(values: Sequence[float], *, digits: int) -> str:
    """Return mean ± standard deviation; the mean alone of one value, nothing of none."""
    if not values:
        return ""
    mean, sd = mean_and_sd(values)
    return f"{mean:.{digits}f}" if sd is None else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def value_shown(value: Value) -> str:
    """Return a value as it stands in a config."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Best(NamedTuple):
    """The setting of an arm that validation prefers, by its mean accuracy there, and how many settings there were."""

    setting: Setting
    validation: float
    points: int


def best_by_validation(settings: Sequence[Setting]) -> list[Best]:
    """Return for each arm with several settings the one with the highest mean validation accuracy.

    Held-out classes do not count in it, as they do not in a student's own selection; between equals the lower
    cross-entropy decides. The test set has no part in the choice. Settings that lack seeds which others have are no
    candidates; arms that were not measured on `val` are left out.
    """
    found = []
    for arm in dict.fromkeys(setting.arm for setting in settings):
        candidates = [s for s in settings if s.arm == arm and s.figures("accuracy", split="val")]
        most = max((len(s.runs) for s in candidates), default=0)
        candidates = [s for s in candidates if len(s.runs) == most]
        if len(candidates) > 1:
            best = max(candidates, key=_validation)
            found.append(Best(best, _validation(best)[0], len(candidates)))
    return found


def _validation(setting: Setting) -> tuple[float, float]:
    """Return the mean accuracy on the validation samples of the classes that the arm has seen, and − their mean nll."""
    classes = "seen" if setting.figures("accuracy", "seen", split="val") else "all"
    accuracy, _ = mean_and_sd(setting.figures("accuracy", classes, split="val"))
    nll, _ = mean_and_sd(setting.figures("nll", classes, split="val"))
    return accuracy, -nll


def best_lines(best: Best) -> Iterator[str]:
    """Yield a sentence on the choice, and one on each test figure of what was chosen."""
    setting = best.setting
    at = ", ".join(f"{key}={value_shown(value)}" for key, value in setting.values.items())
    classes = " of the seen classes" if setting.figures("accuracy", "seen", split="val") else ""
    yield (
        f"{setting.arm}: {at} is the best of {best.points} points by validation "
        f"({100 * best.validation:.2f} %{classes}, mean of {len(setting.runs)})"
    )
    for correction in ("none", "prior"):
        if errors := setting.figures("errors", "all", correction):
            accuracy = shown([100 * v for v in setting.figures("accuracy", "all", correction)], digits=2)
            unseen = shown([100 * v for v in setting.figures("accuracy", "unseen", correction)], digits=2)
            yield (
                f"{setting.arm} there, on test{'' if correction == 'none' else ', correction prior'}: {accuracy} %, "
                f"{shown(errors, digits=1)} errors" + (f"; unseen classes {unseen} %" if unseen else "")
            )
