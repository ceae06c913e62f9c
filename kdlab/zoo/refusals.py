"""Error messages for a network or for weights that a library does not have."""

import difflib
from collections.abc import Sequence
from typing import Any

SHOWN = 5


def unknown(library: str, name: Any, known: Sequence[str]) -> str:
    """Return that a library has no such network, with the nearest names."""
    near = difflib.get_close_matches(str(name), known, n=SHOWN) or [it for it in known if str(name) in it][:SHOWN]
    return f"{library} has no such network" + (f"; there are {', '.join(near)}" if near else "")


def not_had(error: Exception) -> str:
    """Return why published weights cannot be had, and the remedy."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return (
        f"pretrained=true: the weights cannot be had: {first[:200]}; without a network, give them as a file: "
        "teacher.checkpoint=FILE"
    )
