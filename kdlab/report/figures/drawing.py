"""How every figure is drawn and kept: one style, and a text alternative that travels with the figure as its label."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
    "figure.titlesize": "medium", "legend.frameon": False, "svg.fonttype": "path", "svg.hashsalt": "kdlab",
    "image.interpolation": "none", "image.composite_image": False, "text.parse_math": False,
}  # fmt: skip
DPI = 130
# Decimals of a panel's place, in shares of its figure.
PLACES = 9
# The most classes of a matrix whose cells are numbered.
NUMBERED_CLASSES = 12
# A figure with so much in it that its vectors take more than this, in bytes, goes into a page as pixels.
MOST_VECTORS = 200_000

# Draws what a function draws in this style: `@in_style`.
in_style = rc_context(STYLE)


def sheet(width: float, height: float) -> Figure:
    """Return an empty figure of this size, in inches, that keeps its parts from overlapping."""
    return Figure(figsize=(width, height), layout="constrained")


def described(figure: Figure, alternative: str) -> Figure:
    """Return the figure, labelled with what one has to know of it who cannot see it: `figure.get_label()`."""
    figure.set_label(alternative)
    return figure


@in_style
def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file, on white."""
    figure.set_dpi(DPI)
    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    with _any_script():
        _lay_out(figure)
        canvas.print_png(file, metadata={"Description": str(figure.get_label())})
    return file.getvalue()


@in_style
def svg(figure: Figure) -> str:
    """Return the figure as an SVG file without a background, its text and lines dark or light as the reader's page."""
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
    """Give the figure's parts their places, once for all, rounded far below what can be seen.

    matplotlib's solver adds up in the order in which its variables happen to lie in memory, so that its last digit
    changes from process to process, and with it the names that an SVG file gives to the rectangles it clips to.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")
    for panel in figure.axes:
        left, bottom, width, height = (round(float(x), PLACES) for x in panel.get_position(original=True).bounds)
        panel.set_position((left, bottom, width, height))


@contextmanager
def _any_script() -> Iterator[None]:
    """Say nothing of letters that the font lacks: a class may be named in any script, and tables have the names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def tick_classes(axis: Any, names: list[str], *, most: int = 30) -> None:
    """Name the classes along an axis (`panel.xaxis`), only every few of them where there are too many to read."""
    step = -(-len(names) // most)
    shown = [shortened(name) for name in names[::step]]
    long = max(map(len, shown), default=0) > 3 and axis.axis_name == "x"
    axis.set_ticks(range(0, len(names), step), shown, rotation=90 if long else 0)


def shortened(name: str, most: int = 12) -> str:
    """Return a name in no more than so many letters; a star at its end, which marks it, stays."""
    star = "*" if name.endswith("*") else ""
    name = name.removesuffix("*")
    return f"{name if len(name) <= most else name[: most - 1] + '…'}{star}"


def luminance(rgb: Sequence[float]) -> float:
    """Return the relative luminance of a colour in sRGB, 0 for black to 1 for white (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def numbered_image(panel: Axes, grid: Any, *, norm: Normalize, cmap: Colormap, texts: list[list[str]]) -> AxesImage:
    """Draw a grid of numbers as colours, none where it is NaN, with a text in each cell that stands out from it."""
    image = panel.imshow(grid, norm=norm, cmap=cmap, aspect="auto")
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            *rgb, opacity = cmap(norm(grid[row][column]))
            # Where black and white stand out equally, by WCAG's contrast ratio.
            colour = INK if opacity == 0 else "black" if luminance(rgb) > 0.179 else "white"
            # A text in a cell takes no room of its own, which need not be measured.
            panel.text(column, row, text, ha="center", va="center", color=colour, fontsize="x-small", in_layout=False)
    return image
