"""The tables of a run, as text: the terminal and the page show the same ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kdlab.results import Results

CORRECTIONS = ("none", "prior", "oracle")


class Table(NamedTuple):
    """A table: cells as they are read, the first `labels` columns text, all others numbers."""

    id: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1


def outcome_table(results: Results) -> Table:
    """Return teacher and arms × all, seen and unseen samples, before and after bias correction.

    Measured on `results.shown_split`. A group has its accuracy and its errors; the header gives the number of samples,
    where it is the same for all arms.
    """
    split = results.shown_split
    measured = [row for row in results.rows if (row.split, row.metric) == (split, "accuracy")]
    groups = ["all", "seen", "unseen"] if any(row.classes == "unseen" for row in measured) else ["all"]
    header = ["arm", "correction"]
    for group in groups:
        sizes = {row.n for row in measured if row.classes == group}
        header += [f"{group}\n{sizes.pop():,}" if len(sizes) == 1 else group, "errors"]
    rows = []
    for arm in dict.fromkeys(row.arm for row in measured):
        for correction in CORRECTIONS:
            cells = [cell for group in groups for cell in _cells(results, arm, group, correction)]
            if any(cells):
                rows.append([arm, correction, *cells])
    return Table("outcome", f"Accuracy and errors on {measured_on(results)}", header, rows, labels=2)


def _cells(results: Results, arm: str, group: str, correction: str) -> tuple[str, str]:
    accuracy = results.find(arm, group, "accuracy", correction, results.shown_split)
    errors = results.find(arm, group, "errors", correction, results.shown_split)
    return (per_cent(accuracy.value), f"{errors.value:,.0f}") if accuracy and errors else ("", "")


def per_cent(share: float) -> str:
    """Return a share in per cent, with two digits."""
    return f"{100 * share:.2f} %"


def measured_on(results: Results) -> str:
    """Return what the shown figures were measured on."""
    split = results.shown_split
    return "the test set, used once, after training" if split == "test" else f"the {split} split"


def unlabelled_samples(results: Results) -> str:
    """Return what correction `prior` was fitted on; nothing where there was nothing to correct."""
    fitted = next((r for r in results.rows if (r.metric, r.correction) == ("offset", "prior")), None)
    return f"on {fitted.n:,} {fitted.split} samples of all classes" if fitted else ""


def per_class_table(results: Results, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]) -> Table:
    """Return the accuracy on each class of each arm, as it is; unseen classes in brackets."""
    arms = [fit.arm for fit in results.fits]
    wanted = results.shown_split, "none", "accuracy"
    measured = [row for row in results.rows if (row.split, row.correction, row.metric) == wanted]
    cells = {
        (row.arm, row.classes): f"[{per_cent(row.value)}]"
        if row.classes in map(str, held_out.get(row.arm, ()))
        else per_cent(row.value)
        for row in measured
    }
    rows = [[name, *(cells.get((arm, str(c)), "") for arm in arms)] for c, name in enumerate(class_names)]
    caption = "Accuracy on each class; in brackets where the arm never saw it"
    return Table("per_class", caption, ["class", *arms], rows)


def fits_table(results: Results) -> Table:
    """Return what each fit took, and whether it was taken from an earlier run."""
    rows = []
    for fit in results.fits:
        now = "trained" if not fit.reused else "reused" if fit.epochs else "given"
        rows.append([fit.arm, now, f"{fit.parameters:,}", str(fit.epochs), f"{fit.seconds:,.1f}", fit.key])
    header = ["fit", "now", "parameters", "epochs", "seconds to train", "content key"]
    return Table("fits", "Fits: equal content keys, equal networks", header, rows, labels=2)


def environment_table(environments: Sequence[Mapping[str, object]]) -> Table:
    """Return the machine, the versions, and the checksums of code and data; where runs differ, all there were."""
    found: dict[str, dict[str, None]] = {}
    for environment in environments:
        for name, value in environment.items():
            found.setdefault(name, {})[str(value)] = None
    rows = [[name, " · ".join(values)] for name, values in found.items() if name != "command"]
    return Table(
        "environment", "Machine, versions, and the checksums of code and data", ["what", "value"], rows, labels=2
    )


def equations_table(equations: Iterable[tuple[str, str]]) -> Table:
    """Return what each fit, of (arm, equation), minimizes; arms with the same equation share a line."""
    arms: dict[str, list[str]] = {}
    for arm, equation in dict.fromkeys(equations):
        arms.setdefault(equation, []).append(arm)
    rows = [[", ".join(members), equation] for equation, members in arms.items()]
    return Table("equations", "Each fit's loss", ["fit", "loss"], rows, labels=2)
