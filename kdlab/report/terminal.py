"""Print the outcome of a run or a sweep on the terminal."""

from pathlib import Path

import rich.table
from rich.console import Console, Group
from rich.text import Text

from kdlab.report.claims import claim_lines, judged_run
from kdlab.report.collection import Collection
from kdlab.report.comparison import comparison_lines, comparison_table
from kdlab.report.findings import finding
from kdlab.report.sweep import status_lines
from kdlab.report.tables import Table, outcome_table
from kdlab.results import Results


def summary(results: Results) -> Group:
    """Return the run's title, its outcome as a table, and its notes."""
    return Group(title(results), printed(outcome_table(results)), *(Text(f"note: {note}") for note in results.notes))


def print_run(results: Results, page: Path | None, logdir: Path) -> None:
    """Print one table, the finding, the claims, the notes, the page's path, and the command that shows the curves."""
    console = Console()
    console.print(Group(title(results), printed(run_table(results))))
    notes = [("note", note) for note in results.notes]
    claims = [("claim", line) for line in claim_lines(judged_run(results))]
    say = [("found", finding(results)), *claims, *notes, ("page", page), ("curves", f"tensorboard --logdir {logdir}")]
    for what, text in say:
        if text is not None:
            console.print(f"{what + ':':<8}{text}", soft_wrap=True, highlight=False, markup=False)


def run_table(results: Results) -> Table:
    """Return the comparison with the experiment's source if this run has a value for it, or else the outcome."""
    lines = [line for line in comparison_lines(results) if line.kdlab is not None]
    return comparison_table(results, lines) if lines else outcome_table(results)


def printed(content: Table) -> Group:
    """Return a table for the terminal; a first cell that repeats the one above is left blank."""
    table = rich.table.Table(show_edge=False, pad_edge=False)
    for i, name in enumerate(content.header):
        table.add_column(Text(name), justify="left" if i < content.labels else "right", no_wrap=i >= content.labels)
    above = ""
    for first, *rest in content.rows:
        if above and first != above and content.labels > 1:
            table.add_section()
        table.add_row(*map(Text, ["" if first == above else first, *rest]))
        above = first
    return Group(Text(content.caption), table)


def title(results: Results) -> Text:
    """Return a run's experiment, data set, held-out classes and seed."""
    by_arm = "each arm its own" if any(row.classes == "unseen" for row in results.rows) else "none"
    held_out = ", ".join(map(results.class_name, results.held_out_classes)) or by_arm
    about = f"{results.experiment} · dataset: {results.dataset} · held-out classes: {held_out} · seed {results.seed}"
    return Text(about, style="bold")


def print_report(collection: Collection, page: Path, logdir: Path | None) -> None:
    """Print a sweep's status, claims and best points by validation, its page, and the command that shows the curves.

    `logdir` is None for several folders: TensorBoard takes only one.
    """
    console = Console()
    claims = [f"claim:  {line}" for line in claim_lines(collection.claims)]
    say = [*status_lines(collection), *claims, *(line for lines in collection.best for line in lines)]
    say += [f"page:   {page}"] + ([f"curves: tensorboard --logdir {logdir}"] if logdir else [])
    for line in say:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
