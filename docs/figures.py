"""Makes the pictures of the README and of docs/ anew, from real runs: `make figures`.

python docs/figures.py [NAME ...] [KEY=VALUE ...]      only these; with these overrides, as kdlab.train takes them

MNIST is needed. Fits that the store has are reused; from nothing all takes about an hour on two cores, most of it the
sweep.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

IMAGES = Path(__file__).resolve().parent / "images"
RUNS = Path("outputs") / "figures"
# What is seen of a page in the README, in CSS pixels, and how large.
SEEN, SCALE = {"width": 1000, "height": 2440}, 0.6
# Of a palette: it keeps the pictures small.
COLOURS = 256


class Source(NamedTuple):
    """A run or a sweep, by its arguments, and the pictures that come from it: where they lie, and their names here."""

    arguments: list[str]
    pictures: dict[str, str]
    page: str | None = None


SOURCES = {
    "dark_knowledge": Source(
        ["+experiment=dark_knowledge", "data.fallback=null"],
        {
            "figures/per_class_accuracy.png": "dark_knowledge_classes.png",
            "figures/dark_knowledge_distilled.png": "dark_knowledge_images.png",
            "figures/softened_targets.png": "temperature_softened.png",
            "figures/target_entropy.png": "temperature_entropy.png",
            "figures/class_similarity.png": "temperature_similarity.png",
        },
        page="page.png",
    ),
    "blobs_unseen": Source(["+experiment=blobs_unseen"], {"figures/decision_regions.png": "blobs_unseen.png"}),
    "blobs_targets": Source(
        ["+experiment=blobs_targets"],
        {
            "figures/loss_curves.png": "blobs_targets.png",
            "figures/decision_regions.png": "blobs_targets_regions.png",
        },
    ),
    "leave_one_out": Source(["+experiment=leave_one_out"], {"figures/unseen_accuracy.png": "leave_one_out.png"}),
    "sweep": Source(
        ["-m", "+experiment=dark_knowledge", "data.fallback=null", "loss.temperature=1,2,4,8,20",
         "loss.alpha=0.5,0.9,1.0", "seed=0,1"],
        {"report/heatmap_distilled.png": "sweep_heatmap.png", "report/lines_distilled.png": "sweep_lines.png"},
    ),
}  # fmt: skip


def main() -> None:
    """Run what the command line names, or all, and copy the pictures."""
    names = [argument for argument in sys.argv[1:] if "=" not in argument] or list(SOURCES)
    overrides = [argument for argument in sys.argv[1:] if "=" in argument]
    if unknown := [name for name in names if name not in SOURCES]:
        sys.exit(f"{', '.join(unknown)}: there are {', '.join(SOURCES)}")
    for name in names:
        source, folder = SOURCES[name], RUNS / name
        where = f"hydra.sweep.dir={folder}" if "-m" in source.arguments else f"hydra.run.dir={folder}"
        command = [sys.executable, "-m", "kdlab.train", *source.arguments, *overrides, where]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"{name} failed: {' '.join(command[1:])}")
        for found, wanted in source.pictures.items():
            shutil.copyfile(folder / found, IMAGES / wanted)
            shrink(IMAGES / wanted)
        if source.page:
            photograph(folder / "report.html", IMAGES / source.page)


def photograph(page: Path, image: Path) -> None:
    """Save what a browser shows of the top of a page; without chromium, leave the picture as it is."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print(f"{image} is left as it is: there is no chromium to open {page} with")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page(viewport=SEEN, device_scale_factor=SCALE)  # type: ignore[arg-type]
        view.goto(page.resolve().as_uri())
        view.screenshot(path=image)
        browser.close()
    shrink(image)


def shrink(image: Path) -> None:
    """Save an image with a palette, which takes a third of the room."""
    Image.open(image).convert("RGB").quantize(COLOURS).save(image, optimize=True)


if __name__ == "__main__":
    main()
