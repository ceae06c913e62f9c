"""The table that a run ends with."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kdlab.results import Results


def summary(results: Results) -> Group:
    """Return teacher and arms × all, seen and unseen test samples, before and after bias correction.

    A cell gives accuracy and the number of errors; the header, that of the samples.
    """
    sizes = {row.classes: row.n for row in results.rows if row.metric == "accuracy"}
    groups = ["all", "seen", "unseen"] if "unseen" in sizes else ["all"]
    table = Table()
    table.add_column("arm")
    table.add_column("correction")
    for group in groups:
        table.add_column(f"{group} ({sizes[group]})", justify="right", no_wrap=True)
    for fit in results.fits:
        for correction in ("none", "prior", "oracle"):
            cells = [_cell(results, fit.arm, group, correction) for group in groups]
            if any(cells):
                table.add_row(fit.arm if correction == "none" else "", correction, *cells)
        table.add_section()
    return Group(Text(_title(results), style="bold"), table, Text("\n".join(_notes(results)), style="dim"))


def _title(results: Results) -> str:
    held_out = ", ".join(map(str, results.held_out_classes)) or "none"
    return f"{results.experiment} · dataset: {results.dataset} · held-out classes: {held_out} · seed {results.seed}"


def _cell(results: Results, arm: str, group: str, correction: str) -> str:
    accuracy = results.find(arm, group, "accuracy", correction)
    errors = results.find(arm, group, "errors", correction)
    return f"{accuracy.value:.2%} {errors.value:5.0f}" if accuracy and errors else ""


def _notes(results: Results) -> list[str]:
    notes = ["accuracy and errors on the test set, used once, after training"]
    if fitted := next((r for r in results.rows if r.metric == "offset" and r.correction == "prior"), None):
        notes += [
            f"prior: offsets fitted without labels ({fitted.n} {fitted.split} images of all classes)",
            "oracle: the offset with the fewest test errors, fitted on the test labels",
        ]
    return notes
