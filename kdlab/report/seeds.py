"""What the page of a sweep over seeds alone shows as a run's does: a finding, classes, the first seed's images."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from PIL import Image

from kdlab.config.experiment import TARGETS
from kdlab.report.collection import Collection
from kdlab.report.comparison import comparison_over_seeds
from kdlab.report.figures.drawing import DPI
from kdlab.report.findings import finding
from kdlab.report.numbers import class_names_of, held_out_of
from kdlab.report.page import CSS_PIXELS_PER_INCH, Picture, data_uri
from kdlab.report.rows import Run, configs_of
from kdlab.report.tables import per_class_table, unlabelled_samples

# The first seed's figures of its networks' answers; galleries follow, at most so many.
OF_ANSWERS = ("softened_targets", "target_entropy", "class_similarity", "decision_regions")
GALLERIES = 6
SOFT = [name for name, targets in TARGETS.items() if targets.soft]


class FirstSeed(NamedTuple):
    """The first run's figures that only its networks can be drawn as, taken from its folder.

    `link` leads from the sweep's page to the run's, and is None without a page; `command` draws it. `more` counts the
    galleries that are left to it.
    """

    name: str
    pictures: list[Picture]
    link: str | None
    command: str
    more: int


def seeds_section(collection: Collection, folder: Path) -> dict[str, Any]:
    """Return what the template of a sweep's page needs for a sweep over seeds alone.

    Args:
        collection: the runs.
        folder: that of the page.
    """
    results, names = collection.results, list(_names(collection))
    return {
        "names": names,
        "finding": finding(results),
        "corrected": unlabelled_samples(results[0]),
        "comparison": comparison_over_seeds(results),
        "notes": [f"{name}: {note}" for name, it in zip(names, results, strict=True) for note in it.notes],
        "per_class": per_class_table(results, class_names_of(results), held_out_of(results)),
        "first": first_seed(collection.runs[0], names[0], folder),
    }


def _names(collection: Collection) -> Iterator[str]:
    """Yield each run's name: its seeds, such as `seed 0`."""
    if not collection.keys:
        yield f"seed {collection.runs[0].results.seed}"
        return
    for seeds in configs_of(collection.results)[collection.keys].itertuples(index=False):
        yield ", ".join(f"{key} {value}" for key, value in zip(collection.keys, seeds, strict=True))


def first_seed(run: Run, name: str, folder: Path) -> FirstSeed:
    """Return the figures that are in a run's folder, if it has a page; `folder` is where they are to be shown."""
    page, command = run.folder / "report.html", f"python -m kdlab.report {run.folder}"
    if not page.exists():
        return FirstSeed(name, [], None, command, 0)
    answers = [path for of in OF_ANSWERS if (path := run.folder / "figures" / f"{of}.png").exists()]
    galleries = list(_galleries(run))
    pictures = [it for path in (*answers, *galleries[:GALLERIES]) if (it := _picture(path, name))]
    link = quote(Path(os.path.relpath(page, folder)).as_posix())
    return FirstSeed(name, pictures, link, command, len(galleries[GALLERIES:]))


def _galleries(run: Run) -> Iterator[Path]:
    """Yield the galleries that the run's page shows: of students of soft targets, or of all if there is none."""
    students = [fit for fit in run.results.fits if fit.teacher]
    shown = [fit for fit in students if fit.targets in SOFT] or students
    for fit in shown:
        for kind in ("dark_knowledge", "misclassified"):
            if (path := run.folder / "figures" / f"{kind}_{fit.arm}.png").exists():
                yield path


def _picture(path: Path, run: str) -> Picture | None:
    """Return a figure from its file, with title and alt text from its metadata; None if it is no image."""
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            about = getattr(image, "text", {})
            width, height = (round(side * CSS_PIXELS_PER_INCH / DPI) for side in image.size)
    except (OSError, SyntaxError, ValueError):  # what pillow says of a file that is none
        return None
    title = f"{about.get('Title') or path.stem} ({run})"
    alternative = str(about.get("Description") or title)
    return Picture(path.stem, title, alternative, data_uri("image/png", content), width, height, True, content)
