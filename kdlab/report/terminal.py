"""The table that a run ends with."""

from rich.table import Table

from kdlab.results import Results


def summary(results: Results) -> Table:
    """Return teacher and arms × all, seen and unseen test samples, before and after bias correction.

    A cell gives accuracy and the number of errors; the header, that of the samples.
    """
    held_out = ", ".join(map(str, results.held_out_classes)) or "none"
    table = Table(
        title=f"{results.experiment} · dataset: {results.dataset} · held-out classes: {held_out} · seed {results.seed}",
        caption=_caption(results),
    )
    table.add_column("arm")
    table.add_column("correction")
    sizes = {row.classes: row.n for row in results.rows if row.metric == "accuracy"}
    groups = [group for group in ("all", "seen", "unseen") if group in sizes]
    for group in groups:
        table.add_column(f"{group} ({sizes[group]})", justify="right", no_wrap=True)
    for fit in results.fits:
        for correction in ("none", "prior", "oracle"):
            cells = [_cell(results, fit.arm, group, correction) for group in groups]
            if any(cells):
                table.add_row(fit.arm if correction == "none" else "", correction, *cells)
        table.add_section()
    return table


def _cell(results: Results, arm: str, group: str, correction: str) -> str:
    accuracy = results.find(arm, group, "accuracy", correction)
    errors = results.find(arm, group, "errors", correction)
    return f"{accuracy.value:.2%} {errors.value:5.0f}" if accuracy and errors else ""


def _caption(results: Results) -> str:
    lines = ["accuracy and errors on the test set, used once, after training"]
    if fitted := next((r for r in results.rows if r.metric == "offset" and r.correction == "prior"), None):
        lines += [
            f"prior: offsets fitted without labels ({fitted.n} {fitted.split} images, all classes)",
            "oracle: the one offset fitted on the test labels, an upper bound",
        ]
    return "\n".join(lines)
