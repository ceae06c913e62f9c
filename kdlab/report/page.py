"""Write the page of a run or a sweep: one HTML file without scripts or links to other files."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from PIL import Image

from kdlab.config.compose import as_yaml
from kdlab.report.collection import Collection, commands_of
from kdlab.report.comparison import comparison_lines, comparison_table
from kdlab.report.figures.drawing import MOST_VECTORS, png, svg
from kdlab.report.figures.gallery import Example, alternative, pixels
from kdlab.report.findings import finding
from kdlab.report.sweep_table import arms_table, settings_table
from kdlab.report.tables import (
    environment_table,
    equations_table,
    fits_table,
    measured_on,
    outcome_table,
    per_class_table,
    unlabelled_samples,
)
from kdlab.results import Results

CSS_PIXELS_PER_INCH = 96
THUMBNAIL = 64
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


class Gallery(NamedTuple):
    """Examples under a title. Each gallery is saved as a figure; the page shows it if `on_page`."""

    title: str
    examples: Sequence[Example]
    on_page: bool


def picture(name: str, title: str, figure: Figure) -> Picture:
    """Return a figure for a page: as vectors, or as pixels if its SVG file is larger than `MOST_VECTORS`."""
    raster, vectors = png(figure), svg(figure).encode()
    heavy = len(vectors) > MOST_VECTORS
    source = _data_uri("image/png", raster) if heavy else _data_uri("image/svg+xml", vectors)
    width, height = (round(CSS_PIXELS_PER_INCH * inches) for inches in figure.get_size_inches())
    return Picture(name, title, str(figure.get_label()), source, width, height, heavy, raster)


def run_page(
    results: Results,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
    pictures: Sequence[Picture],
    galleries: Sequence[Gallery],
) -> str:
    """Return the page of a run.

    Args:
        results: the run's results.
        class_names: the names of all classes.
        held_out: for each arm, the classes that it never saw.
        pictures: the run's figures.
        galleries: images with the networks' probabilities.
    """
    lines = comparison_lines(results)
    return templates.get_template("run.html").render(
        title=results.experiment,
        results=results,
        question=results.config.get("question"),
        finding=finding(results),
        held_out=", ".join(class_names[c] for c in results.held_out_classes) or _held_out_by_arm(held_out, class_names),
        measured_on=measured_on(results),
        equations=equations_table(results.equations.items()),
        outcome=outcome_table(results),
        corrected=unlabelled_samples(results),
        comparison=comparison_table(results, lines) if lines else None,
        per_class=per_class_table(results, class_names, held_out),
        pictures={it.name: it for it in pictures},
        galleries=[
            {"title": it.title, "cards": [_card(example, class_names) for example in it.examples]} for it in galleries
        ],
        fits=fits_table(results),
        command=results.environment.get("command"),
        environment=environment_table([results.environment]),
        config=as_yaml(results.config),
    )


def sweep_page(collection: Collection, status: Sequence[str], pictures: Sequence[Picture]) -> str:
    """Return the page of a sweep, or of several runs.

    Args:
        collection: the runs.
        status: the counts of points in the first line, then a line for each point without results.
        pictures: heatmaps and lines.
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
        outcome=settings_table(collection.settings, collection.keys),
        pictures=pictures,
        fits=arms_table(results),
        commands=commands_of(collection.runs),
        environment=environment_table([it.environment for it in results]),
        config=as_yaml(results[0].config) if results else "",
    )


def _held_out_by_arm(held_out: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    own = {arm: ", ".join(class_names[c] for c in classes) for arm, classes in held_out.items() if classes}
    return "; ".join(f"{arm}: {classes}" for arm, classes in own.items()) or "none"


def _card(example: Example, class_names: Sequence[str]) -> dict[str, Any]:
    file, image = io.BytesIO(), Image.fromarray(pixels(example.pixels))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    kind = "png" if len(example.pixels) == 1 else "jpeg"  # for colour images a fifth of PNG's size
    image.save(file, kind, quality=90)
    return {
        "source": _data_uri(f"image/{kind}", file.getvalue()),
        "alternative": alternative(example, class_names),
        "caption": example.caption(class_names),
        "bars": [
            (class_names[c], f"{100 * example.teacher[c]:.0f}", f"{100 * example.student[c]:.0f}")
            for c in example.shown()
        ],
    }


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
