"""Draw and save every figure in one style, with its alt text as the figure's label."""

import gc
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

INK = "#1b2733"
INK_ON_DARK = "#e4eaf0"
STYLE: Any = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "axes.titlecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.15, "axes.axisbelow": True, "axes.titlesize": "medium",
    # At a given height: to find one, matplotlib would measure all ticks at each drawing.
    "axes.titley": 1.0,
    "figure.titlesize": "medium", "legend.frameon": False, "svg.fonttype": "path", "svg.hashsalt": "kdlab",
    "image.interpolation": "none", "image.composite_image": False, "text.parse_math": False,
    # Matplotlib's own font alone: for each text it would look through a dozen others that may be installed.
    "font.family": "DejaVu Sans",
}  # fmt: skip
DPI = 130
# Decimals of a panel's position, as a share of the figure.
PLACES = 9
# The height of a line of ticks' labels, in inches.
LINE = 0.16
# Matrices with more classes have no numbers in their cells.
NUMBERED_CLASSES = 12
# A page shows a figure as pixels if its SVG file has more bytes than this.
MOST_VECTORS = 200_000

# Decorator: a function draws in this style.
in_style = rc_context(STYLE)


@contextmanager
def settled() -> Iterator[None]:
    """Do not look for garbage: among all that is there, such as torch, a search takes longer than a figure."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def sheet(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, whose layout keeps its parts apart."""
    return Figure(figsize=(width, height), layout="constrained")


def described(figure: Figure, alternative: str) -> Figure:
    """Attach the alt text as the figure's label, `figure.get_label()`; return the figure."""
    figure.set_label(alternative)
    return figure


@in_style
def png(figure: Figure, title: str = "") -> bytes:
    """Return the figure as a PNG file on white, whose metadata hold `title` and the alt text (`Description`)."""
    figure.set_dpi(DPI)
    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    with _any_script():
        _lay_out(figure)
        # Compressed at level 3: a tenth larger than at 6, in half the time.
        canvas.print_png(
            file, metadata={"Title": title, "Description": str(figure.get_label())}, pil_kwargs={"compress_level": 3}
        )
    return file.getvalue()


@in_style
def svg(figure: Figure) -> str:
    """Return the figure as an SVG file without background; its ink is light on pages with a dark colour scheme."""
    canvas, file = FigureCanvasSVG(figure), io.StringIO()
    backgrounds = [figure.patch, *(panel.patch for panel in figure.axes)]
    for patch in backgrounds:
        patch.set_visible(False)
    with _any_script():
        _lay_out(figure)
        canvas.print_svg(file, metadata={"Date": None, "Creator": None})
    for patch in backgrounds:
        patch.set_visible(True)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    scheme = f"svg{{color:{INK}}}@media(prefers-color-scheme:dark){{svg{{color:{INK_ON_DARK}}}}}"
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{scheme}</style>", text, count=1)


def _lay_out(figure: Figure) -> None:
    """Lay the figure out once, and round its panels' positions to digits that cannot be seen.

    The last digit of matplotlib's solver depends on addresses in memory, and an SVG file names its clipping rectangles
    by hashes of the positions: without rounding, the same figure gives different files.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")
    for panel in figure.axes:
        left, bottom, width, height = (round(float(x), PLACES) for x in panel.get_position(original=True).bounds)
        panel.set_position((left, bottom, width, height))


@contextmanager
def _any_script() -> Iterator[None]:
    """Silence warnings about letters that the font lacks: class names may be in any script, and tables show them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def tick_classes(axis: Any, names: Sequence[str], *, inches: float) -> None:
    """Label an axis (`panel.xaxis`) of this length with class names, evenly spaced, as many as can be read."""
    short = shortened(names)
    longest = max(map(len, short), default=0)
    upright = axis.axis_name == "x" and longest > 3
    each = 0.05 + 0.09 * longest if axis.axis_name == "x" and not upright else LINE
    step = max(1, -(-len(names) // max(1, int(inches / each))))
    axis.set_ticks(range(0, len(names), step), short[::step], rotation=90 if upright else 0)


def shortened(names: Sequence[str], most: int = 14) -> list[str]:
    """Shorten names to `most` letters, so that different ones stay different where they can.

    They are cut at the end or, where that makes some equal, in the middle. A star at the end of a name, which marks the
    class, is kept.
    """
    plain = [name.removesuffix("*") for name in names]
    cut = [name if len(name) <= most else f"{name[: most - 1]}…" for name in plain]
    if len(set(cut)) < len(set(plain)):
        head, tail = (most - 1) // 2, most - 1 - (most - 1) // 2
        cut = [name if len(name) <= most else f"{name[:head]}…{name[-tail:]}" for name in plain]
    return [short + "*" * name.endswith("*") for short, name in zip(cut, names, strict=True)]


def luminance(rgb: Sequence[float]) -> float:
    """Return the relative luminance of a colour in sRGB, 0 for black to 1 for white (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def numbered_image(panel: Axes, grid: Any, *, norm: Normalize, cmap: Colormap, texts: list[list[str]]) -> AxesImage:
    """Draw a grid of numbers as colours, NaN without colour, and a text in each cell in black or white."""
    image = panel.imshow(grid, norm=norm, cmap=cmap, aspect="auto")
    colours = cmap(norm(np.ma.masked_invalid(grid))) if texts else []
    for row, (line, own) in enumerate(zip(texts, colours, strict=True)):
        for column, (text, (*rgb, opacity)) in enumerate(zip(line, own, strict=True)):
            if not text:
                continue
            # At a luminance of 0.179, black and white have the same contrast ratio by WCAG.
            colour = INK if opacity == 0 else "black" if luminance(rgb) > 0.179 else "white"
            # Outside the layout, because the text lies within the panel and measuring it is slow.
            panel.text(column, row, text, ha="center", va="center", color=colour, fontsize="x-small", in_layout=False)
    return image
