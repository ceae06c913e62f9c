"""Write pages: each is one HTML file that needs no other, and no script. Here: its figures, and a sweep's page."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from kdlab.config.compose import as_yaml
from kdlab.report.claims import claims_table
from kdlab.report.collection import Collection, commands_of
from kdlab.report.figures.drawing import MOST_VECTORS, png, svg
from kdlab.report.sweep_table import arms_table, settings_table
from kdlab.report.tables import environment_table, equations_table

CSS_PIXELS_PER_INCH = 96
templates = Environment(loader=PackageLoader("kdlab.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


class Picture(NamedTuple):
    """A figure of a page, with its PNG file for use elsewhere; `width` and `height` are in CSS pixels.

    `source` is the image as a data URI; `pixels` is false for vectors.
    """

    name: str
    title: str
    alternative: str
    source: str
    width: int
    height: int
    pixels: bool
    png: bytes


def picture(name: str, title: str, figure: Figure) -> Picture:
    """Return a figure for a page: as vectors, or as pixels if its SVG file is larger than `MOST_VECTORS`."""
    raster, vectors = png(figure, title=title), svg(figure).encode()
    heavy = len(vectors) > MOST_VECTORS
    source = data_uri("image/png", raster) if heavy else data_uri("image/svg+xml", vectors)
    width, height = (round(CSS_PIXELS_PER_INCH * inches) for inches in figure.get_size_inches())
    return Picture(name, title, str(figure.get_label()), source, width, height, heavy, raster)


def sweep_page(
    collection: Collection, status: Sequence[str], pictures: Sequence[Picture], seeds: Mapping[str, Any] | None = None
) -> str:
    """Return the page of a sweep, or of several runs.

    Args:
        collection: the runs.
        status: the counts of points in the first line, then a line for each point without results.
        pictures: heatmaps and lines; of a sweep over seeds alone, those of its numbers.
        seeds: from `kdlab.report.seeds.seeds_section`; None if more than seeds varies.
    """
    results = collection.results
    questions = {str(it.config.get("question") or "") for it in results}
    about = dict.fromkeys(f"{it.experiment} on {it.dataset}" for it in results)
    summary, *lacking = status
    return templates.get_template("sweep.html").render(
        title=", ".join(about) or "No finished run",
        question=questions.pop() if len(questions) == 1 else None,
        best=collection.best,
        status=summary,
        lacking=lacking,
        swept=", ".join(collection.keys),
        equations=equations_table(pair for it in results for pair in it.equations.items()),
        claims=claims_table(collection.claims),
        outcome=settings_table(collection.settings, collection.keys),
        pictures={it.name: it for it in pictures},
        seeds=seeds,
        fits=arms_table(results),
        commands=commands_of(collection.runs),
        environment=environment_table([it.environment for it in results]),
        config=as_yaml(results[0].config) if results else "",
    )


def data_uri(kind: str, content: bytes) -> str:
    """Return a file of this kind (`image/png`) as the source of an image."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
