"""Write the report on a sweep or several runs from results.json files: page, tables, rows and figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from msgspec.structs import astuple

from kdlab.files import write_csv, write_text
from kdlab.report.collection import Collection, Missing
from kdlab.report.figures.heatmaps import axes_of, heatmap
from kdlab.report.figures.sweep_lines import lines
from kdlab.report.page import Picture, picture, sweep_page
from kdlab.report.rows import FIELDS, configs_of
from kdlab.report.settings import combinations
from kdlab.report.sweep_table import markdown, settings_table

MOST_PANELS, MOST_LINES = 12, 28


def write_report(collection: Collection, folder: Path) -> Path:
    """Write the report on collected runs to `folder`; return the path of its page, `report.html`.

    `report/` holds the page's tables as Markdown (`report.md`), all rows of all runs with the swept keys as columns
    (`rows.csv`), and `heatmap_<arm>.png` and `lines_<arm>.png` for each arm that the swept keys affect. Files of an
    earlier report are replaced. If `folder` is that of a run with a page, this page is kept: it shows more.
    """
    target, page = folder / "report", folder / "report.html"
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("heatmap_*.png"), *target.glob("lines_*.png")):
        old.unlink()
    write_csv(target / "rows.csv", ["run", *collection.keys, *FIELDS], _lines(collection))
    pictures = [picture(name, title, figure) for name, title, figure in figures_of(collection.settings)]
    for it in pictures:
        (target / f"{it.name}.png").write_bytes(it.png)
    write_text("\n\n".join(_markdown(collection, pictures)) + "\n", target / "report.md")
    if not ((folder / "results.json").exists() and page.exists()):
        write_text(sweep_page(collection, [*status_lines(collection)], pictures), page)
    return page


def figures_of(settings: pd.DataFrame) -> Iterator[tuple[str, str, Figure]]:
    """Yield (name, title, figure) for each arm that swept keys affect, unless it has too many panels or lines."""
    tested = settings[settings["split"] == "test"]
    baseline = tested[tested["arm"] == "baseline"]
    for name, members in tested.groupby("arm", observed=True):
        keys, arm = axes_of(members), str(name)
        if len(keys) > 1 and len(combinations(members, keys[2:])) <= MOST_PANELS:
            yield f"heatmap_{arm}", f"{arm}: test accuracy at each setting", heatmap(members)
        if keys and len(combinations(members, keys[1:])) <= MOST_LINES:
            figure = lines(members, None if arm in ("baseline", "teacher") else baseline)
            yield f"lines_{arm}", f"{arm}: test accuracy over {keys[0]}", figure


def status_lines(collection: Collection) -> Iterator[str]:
    """Yield the counts of points, then a line for each point without results and each file that cannot be read."""
    failed = [lack for lack in collection.missing if lack.failed]
    unfinished = [lack for lack in collection.missing if not lack.failed]
    finished = sum(not run.results.failed for run in collection.runs)
    yield f"{finished} finished, {len(failed)} failed, {len(unfinished)} unfinished"
    for lack in (*failed, *unfinished):
        yield _missing_line(lack)
    yield from (f"skipped: {message}" for message in collection.skipped)
    if collection.repeated:
        yield f"{collection.repeated} left out: a later run has the same config"


def _missing_line(lack: Missing) -> str:
    why = lack.why.split("\n")
    first = why[1].strip(" -") if len(why) > 1 and why[0].endswith(":") else why[0]
    more = f" (and {len(why) - 2} more)" if why[0].endswith(":") and len(why) > 2 else ""
    asked = " ".join(line for line in lack.overrides if not line.startswith("+experiment"))
    return f"{lack.folder} [{asked}]: {first}{more}"


def _lines(collection: Collection) -> Iterator[Sequence[Any]]:
    values = configs_of(collection.results)[collection.keys].to_numpy()
    for run, own in zip(collection.runs, values, strict=True):
        yield from ((str(run.folder), *own, *astuple(row)) for row in run.results.rows)


def _markdown(collection: Collection, pictures: Sequence[Picture]) -> Iterator[str]:
    names = dict.fromkeys(f"{found.experiment} on {found.dataset}" for found in collection.results)
    yield f"# {', '.join(names) or 'No finished run'}"
    yield "\n".join(f"- {line}" for line in status_lines(collection))
    if not collection.runs:
        return
    yield f"Swept: {', '.join(f'`{key}`' for key in collection.keys) or 'nothing'}."
    if collection.best:
        yield "## Best by validation"
        yield "\n".join(f"- {line}" for lines in collection.best for line in lines)
    yield "## Test accuracy"
    table = settings_table(collection.settings, collection.keys)
    yield f"{table.caption}."
    yield markdown(table)
    for it in pictures:
        yield f"![{it.name.replace('_', ' of ', 1)}]({it.name}.png)"
