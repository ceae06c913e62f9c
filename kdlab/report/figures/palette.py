"""Colours of the figures, distinct for colour-blind readers, too."""

from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_rgb

# M. Okabe and K. Ito, "Color Universal Design", 2008; first those with contrast on both white and black.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
STUDENT, TEACHER = OKABE_ITO[:2]
SEEN, UNSEEN = OKABE_ITO[0], OKABE_ITO[1]


def colours(count: int) -> list[tuple[float, float, float]]:
    """Return `count` distinct colours."""
    if count <= len(OKABE_ITO):
        return [to_rgb(colour) for colour in OKABE_ITO[:count]]
    return [to_rgb(colormaps["viridis"](i / (count - 1))) for i in range(count)]


def line_styles(count: int) -> list[dict[str, Any]]:
    """Return `count` line styles with different colours; when colours repeat, dashes differ."""
    dashes = ("-", "--", ":", "-.")
    return [
        {"color": OKABE_ITO[i % len(OKABE_ITO)], "linestyle": dashes[i // len(OKABE_ITO) % len(dashes)]}
        for i in range(count)
    ]
