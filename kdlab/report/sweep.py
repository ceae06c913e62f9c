"""Write the report on a sweep or several runs from results.json files: page, tables, rows and figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from msgspec.structs import astuple

from kdlab.files import write_csv, write_text
from kdlab.report.claims import claims_table, write_claims
from kdlab.report.collection import Collection, Missing
from kdlab.report.figures.drawing import settled
from kdlab.report.figures.heatmaps import axes_of, heatmap
from kdlab.report.figures.numbers import Named, figures_of_numbers
from kdlab.report.figures.sweep_lines import lines
from kdlab.report.numbers import class_names_of, held_out_of
from kdlab.report.page import Picture, picture, sweep_page
from kdlab.report.rows import FIELDS, split_of
from kdlab.report.seeds import seeds_section
from kdlab.report.sweep_table import escaped, markdown, settings_table


def write_report(collection: Collection, folder: Path) -> Path:
    """Write the report on collected runs to `folder`; return the path of its page, `report.html`.

    `report/` holds the page's tables as Markdown (`report.md`), all fits with the swept keys as columns (`fits.csv`),
    all rows of each fit (`rows.csv`), the verdicts on claims, if there are any (`claims.csv`), and `heatmap_<arm>.png`
    and `lines_<arm>.png` for each arm that the swept keys affect; where nothing but seeds varies, the figures of
    `figures_of_numbers`, over the seeds. Files of an earlier report are replaced. If `folder` is that of a run with a
    page, this page is kept: it shows more.
    """
    target, page = folder / "report", folder / "report.html"
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("*.png"), *target.glob("claims.csv")):
        old.unlink()
    fits = collection.fits
    write_csv(target / "fits.csv", ["fit", "arm", *collection.keys, "run", "key"], _fit_lines(collection, folder))
    places = ((number, *astuple(row)[1:]) for number, rows in fits["rows"].items() for row in rows)
    write_csv(target / "rows.csv", ["fit", *FIELDS[1:]], places)
    if collection.claims:
        write_claims(collection.claims, target / "claims.csv")
    with settled():
        pictures = [picture(*named) for named in _figures(collection)]
    for it in pictures:
        (target / f"{it.name}.png").write_bytes(it.png)
    write_text("\n\n".join(_markdown(collection, pictures)) + "\n", target / "report.md")
    if not ((folder / "results.json").exists() and page.exists()):
        seeds = seeds_section(collection, folder) if collection.over_seeds else None
        write_text(sweep_page(collection, [*status_lines(collection)], pictures, seeds), page)
    return page


def _figures(collection: Collection) -> Iterator[Named]:
    """Yield the figures of a sweep; of one over seeds alone, those that a run's page has of its numbers."""
    if not collection.over_seeds:
        yield from figures_of(collection.settings)
        return
    names, held_out = class_names_of(collection.results), held_out_of(collection.results)
    yield from figures_of_numbers(collection.numbers[0], class_names=names, held_out=held_out)


def figures_of(settings: pd.DataFrame) -> Iterator[Named]:
    """Yield (name, title, figure) for each arm that swept keys affect."""
    split = split_of(settings)
    measured = settings[settings["split"] == split]
    baseline = measured[measured["arm"] == "baseline"]
    for name, members in measured.groupby("arm", observed=True):
        keys, arm = axes_of(members), str(name)
        if len(keys) > 1:
            yield f"heatmap_{arm}", f"{arm}: {split} accuracy at each setting", heatmap(members)
        if keys:
            figure = lines(members, None if arm in ("baseline", "teacher") else baseline)
            yield f"lines_{arm}", f"{arm}: {split} accuracy over {keys[0]}", figure


def status_lines(collection: Collection) -> Iterator[str]:
    """Yield the counts of points, then a line for each point without results and each file that cannot be read."""
    failed = [lack for lack in collection.missing if lack.failed]
    unfinished = [lack for lack in collection.missing if not lack.failed]
    finished = sum(not run.results.failed for run in collection.runs)
    yield f"{finished} finished, {len(failed)} failed, {len(unfinished)} unfinished"
    for lack in (*failed, *unfinished):
        yield _missing_line(lack)
    yield from (f"skipped: {message}" for message in collection.skipped)
    if collection.over_seeds:
        _, problems = collection.numbers
        yield from problems
    if collection.repeated:
        yield f"{collection.repeated} left out: a later run has the same config"


def _missing_line(lack: Missing) -> str:
    why = lack.why.split("\n")
    first = why[1].strip(" -") if len(why) > 1 and why[0].endswith(":") else why[0]
    more = f" (and {len(why) - 2} more)" if why[0].endswith(":") and len(why) > 2 else ""
    asked = " ".join(line for line in lack.overrides if not line.startswith("+experiment"))
    return f"{lack.folder} [{asked}]: {first}{more}"


def _fit_lines(collection: Collection, folder: Path) -> Iterator[Sequence[Any]]:
    """Yield a line for each fit: its number, its arm and keys, the folder of a run that has it, and its content key."""
    about = collection.fits[["arm", *collection.keys, "run", "fit"]]
    for number, *own, run, key in about.itertuples(name=None):
        place = collection.runs[run].folder
        yield number, *own, place.relative_to(folder) if place.is_relative_to(folder) else place, key


def _markdown(collection: Collection, pictures: Sequence[Picture]) -> Iterator[str]:
    names = dict.fromkeys(f"{found.experiment} on {found.dataset}" for found in collection.results)
    yield f"# {escaped(', '.join(names)) or 'No finished run'}"
    yield "\n".join(f"- {escaped(line)}" for line in status_lines(collection))
    if not collection.runs:
        return
    yield f"Swept: {', '.join(f'`{key}`' for key in collection.keys) or 'nothing'}."
    if claims := claims_table(collection.claims):
        yield "## Claims"
        yield f"{claims.caption}."
        yield markdown(claims)
    if collection.best:
        yield "## Best by validation"
        yield "\n".join(f"- {escaped(line)}" for lines in collection.best for line in lines)
    yield "## Accuracy"
    table = settings_table(collection.settings, collection.keys)
    yield f"{table.caption}."
    yield markdown(table)
    for it in pictures:
        yield f"![{escaped(it.title)}]({it.name}.png)"
