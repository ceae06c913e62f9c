"""Write the page of a run, with single images."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from kdlab.config.compose import as_yaml
from kdlab.report.claims import claims_table, judged_run
from kdlab.report.comparison import comparison_lines, comparison_table
from kdlab.report.figures.drawing import shortened
from kdlab.report.figures.gallery import Example, alternative, pixels
from kdlab.report.findings import finding, has_unseen_samples
from kdlab.report.page import Picture, data_uri, templates
from kdlab.report.tables import (
    cost_table,
    environment_table,
    equations_table,
    fits_table,
    measured_on,
    outcome_table,
    per_class_table,
    unlabelled_samples,
)
from kdlab.results import Results

THUMBNAIL = 64
# The most letters of a class name beside a card's bars; the card's caption has the whole.
LETTERS = 9


class Gallery(NamedTuple):
    """Examples under a title. Each gallery is saved as a figure; the page shows it if `on_page`."""

    title: str
    examples: Sequence[Example]
    on_page: bool


def run_page(
    results: Results,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
    softness: str,
    pictures: Sequence[Picture],
    galleries: Sequence[Gallery],
    play: Mapping[str, Any] | None = None,
) -> str:
    """Return the page of a run.

    Args:
        results: the run's results.
        class_names: the names of all classes.
        held_out: for each arm, the classes that it never saw.
        softness: a sentence about the teacher's soft targets at T = 1.
        pictures: the run's figures.
        galleries: images with the networks' probabilities.
        play: the numbers behind the sliders; None for a page without.
    """
    lines = comparison_lines(results)
    short = shortened(class_names, most=LETTERS)
    return templates.get_template("run.html").render(
        title=results.experiment,
        results=results,
        question=results.config.get("question"),
        finding=finding(results),
        held_out=", ".join(class_names[c] for c in results.held_out_classes) or _held_out_by_arm(held_out, class_names),
        measured_on=measured_on(results),
        equations=equations_table(results.equations.items()),
        claims=claims_table(judged_run(results)),
        outcome=outcome_table(results),
        corrected=unlabelled_samples(results),
        no_unseen=results.shown_split if any(held_out.values()) and not has_unseen_samples(results) else None,
        costs=cost_table(results),
        softness=softness,
        play=play,
        comparison=comparison_table(results, lines) if lines else None,
        per_class=per_class_table(results, class_names, held_out),
        pictures={it.name: it for it in pictures},
        galleries=[
            {"title": it.title, "cards": [_card(example, class_names, short) for example in it.examples]}
            for it in galleries
        ],
        fits=fits_table(results),
        command=results.environment.get("command"),
        environment=environment_table([results.environment]),
        config=as_yaml(results.config),
    )


def _held_out_by_arm(held_out: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    own = {arm: ", ".join(class_names[c] for c in classes) for arm, classes in held_out.items() if classes}
    return "; ".join(f"{arm}: {classes}" for arm, classes in own.items()) or "none"


def thumbnail(image: Tensor) -> str:
    """Return a small copy of an image (C, H, W) as the source of an image on a page."""
    file, small = io.BytesIO(), Image.fromarray(pixels(image))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    kind = "png" if len(image) == 1 else "jpeg"  # for colour images a fifth of PNG's size
    small.save(file, kind, quality=90)
    return data_uri(f"image/{kind}", file.getvalue())


def _card(example: Example, class_names: Sequence[str], short: Sequence[str]) -> dict[str, Any]:
    return {
        "source": thumbnail(example.pixels),
        "alternative": alternative(example, class_names),
        "caption": example.caption(class_names),
        "bars": [
            (short[c], f"{100 * example.teacher[c]:.0f}", f"{100 * example.student[c]:.0f}") for c in example.shown()
        ],
    }
