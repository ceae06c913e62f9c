"""What a run, and a sweep, end with on the terminal."""

from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from kdlab.report.collection import Collection
from kdlab.report.settings import settings_of, swept_keys
from kdlab.report.sweep import status_lines
from kdlab.report.sweep_table import best_by_validation, best_lines
from kdlab.results import Results, Row


def summary(results: Results) -> Group:
    """Return teacher and arms × all, seen and unseen samples, before and after bias correction.

    A cell gives accuracy and the number of errors; the header that of the samples, where it is the same for all arms.
    The samples are the test set's or, where the run leaves it alone, the last split's that it was measured on.
    """
    measured = [row for row in results.rows if row.metric == "accuracy"]
    split = "test" if any(row.split == "test" for row in measured) else measured[-1].split
    measured = [row for row in measured if row.split == split]
    groups = ["all", "seen", "unseen"] if any(row.classes == "unseen" for row in measured) else ["all"]
    table = Table()
    table.add_column("arm")
    table.add_column("correction")
    for group in groups:
        table.add_column(_header(group, measured), justify="right", no_wrap=True)
    for arm in dict.fromkeys(row.arm for row in measured):
        for correction in ("none", "prior", "oracle"):
            cells = [_cell(results, arm, group, correction, split) for group in groups]
            if any(cells):
                table.add_row(arm if correction == "none" else "", correction, *cells)
        table.add_section()
    return Group(Text(_title(results), style="bold"), table, Text("\n".join(_notes(results, split)), style="dim"))


def _header(group: str, measured: list[Row]) -> str:
    sizes = {row.n for row in measured if row.classes == group}
    return f"{group} ({sizes.pop()})" if len(sizes) == 1 else group


def _title(results: Results) -> str:
    by_arm = "each arm its own" if any(row.classes == "unseen" for row in results.rows) else "none"
    held_out = ", ".join(map(str, results.held_out_classes)) or by_arm
    return f"{results.experiment} · dataset: {results.dataset} · held-out classes: {held_out} · seed {results.seed}"


def _cell(results: Results, arm: str, group: str, correction: str, split: str) -> str:
    accuracy = results.find(arm, group, "accuracy", correction, split)
    errors = results.find(arm, group, "errors", correction, split)
    return f"{accuracy.value:.2%} {errors.value:5.0f}" if accuracy and errors else ""


def _notes(results: Results, split: str) -> list[str]:
    when = "the test set, used once, after training" if split == "test" else f"the {split} split"
    notes = [f"accuracy and errors on {when}"]
    if fitted := next((r for r in results.rows if r.metric == "offset" and r.correction == "prior"), None):
        notes += [
            f"prior: offsets fitted without labels ({fitted.n} {fitted.split} samples of all classes)",
            f"oracle: the offset with the fewest {split} errors, fitted on the {split} labels",
        ]
    return notes


def print_report(collection: Collection, page: Path) -> None:
    """Print what there is of a sweep, the best points by validation, and where the rest stands."""
    console = Console()
    say = [*status_lines(collection)]
    for best in best_by_validation(settings_of(collection.runs, swept_keys(collection.runs))):
        say += best_lines(best)
    for line in (*say, f"report: {page}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
