"""The report on a sweep, on several, or on single runs, from results.json files: a page, a table, rows, figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kdlab.files import write_text
from kdlab.report.collection import Collection, Missing
from kdlab.report.figures.heatmaps import axes_of, heatmap
from kdlab.report.figures.sweep_lines import lines
from kdlab.report.page import picture, sweep_page
from kdlab.report.settings import Setting, combinations, settings_of, swept_keys
from kdlab.report.sweep_table import best_by_validation, best_lines, markdown, settings_table, write_rows

MOST_PANELS, MOST_LINES = 12, 28


def write_report(collection: Collection, folder: Path) -> Path:
    """Write the report on what was collected into `folder`, and return its page, `report.html`.

    `report/` has the tables of the page as Markdown (`report.md`), every row of every run with the swept keys as
    columns (`rows.csv`), and `heatmap_<arm>.png` and `lines_<arm>.png` of each arm that the swept keys matter to. What
    an earlier report left is replaced, but for the page of a run in this very folder: it has more to show.
    """
    target, page = folder / "report", folder / "report.html"
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("heatmap_*.png"), *target.glob("lines_*.png")):
        old.unlink()
    keys = swept_keys(collection.runs)
    settings = settings_of(collection.runs, keys)
    write_rows(collection.runs, keys, target / "rows.csv")
    pictures = [picture(name, title, figure) for name, title, figure in figures_of(settings)]
    for it in pictures:
        (target / f"{it.name}.png").write_bytes(it.png)
    names = [it.name for it in pictures]
    write_text("\n\n".join(_markdown(collection, settings, keys, names)) + "\n", target / "report.md")
    if not ((folder / "results.json").exists() and page.exists()):
        write_text(sweep_page(collection, settings, keys, [*status_lines(collection)], pictures), page)
    return page


def figures_of(settings: Sequence[Setting]) -> Iterator[tuple[str, str, Figure]]:
    """Yield (name, title, figure) for each arm that a swept key matters to, unless there would be too much to see."""
    arms = {s.arm: [other for other in settings if other.arm == s.arm] for s in settings}
    baseline = arms.get("baseline", [])
    for arm, members in arms.items():
        keys = axes_of(members)
        if len(keys) > 1 and len(combinations(members, keys[2:])) <= MOST_PANELS:
            yield f"heatmap_{arm}", f"{arm}: test accuracy at each setting", heatmap(members)
        if keys and len(combinations(members, keys[1:])) <= MOST_LINES:
            figure = lines(members, [] if arm in ("baseline", "teacher") else baseline)
            yield f"lines_{arm}", f"{arm}: test accuracy over {keys[0]}", figure


def status_lines(collection: Collection) -> Iterator[str]:
    """Yield what there is, and what there is not, in a line each."""
    failed = [lack for lack in collection.missing if lack.failed]
    unfinished = [lack for lack in collection.missing if not lack.failed]
    yield f"{len(collection.runs)} finished, {len(failed)} failed, {len(unfinished)} unfinished"
    for lack in (*failed, *unfinished):
        yield _missing_line(lack)
    yield from (f"skipped: {message}" for message in collection.skipped)
    if collection.repeated:
        yield f"{collection.repeated} left out, of which a later run has the same config"


def _missing_line(lack: Missing) -> str:
    why = lack.why.split("\n")
    first = why[1].strip(" -") if len(why) > 1 and why[0].endswith(":") else why[0]
    more = f" (and {len(why) - 2} more)" if why[0].endswith(":") and len(why) > 2 else ""
    asked = " ".join(line for line in lack.overrides if not line.startswith("+experiment"))
    return f"{lack.folder} [{asked}]: {first}{more}"


def _markdown(
    collection: Collection, settings: Sequence[Setting], keys: Sequence[str], pictures: Sequence[str]
) -> Iterator[str]:
    names = dict.fromkeys(f"{run.results.experiment} on {run.results.dataset}" for run in collection.runs)
    yield f"# {', '.join(names) or 'No finished run'}"
    yield "\n".join(f"- {line}" for line in status_lines(collection))
    if not settings:
        return
    yield f"Swept: {', '.join(f'`{key}`' for key in keys) or 'nothing'}."
    if chosen := best_by_validation(settings):
        yield "## Best by validation"
        yield "\n".join(f"- {line}" for best in chosen for line in best_lines(best))
    yield "## Test accuracy"
    table = settings_table(settings, keys)
    yield f"{table.caption}."
    yield markdown(table)
    for name in pictures:
        yield f"![{name.replace('_', ' of ', 1)}]({name}.png)"
