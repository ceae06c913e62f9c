"""Limits of single values: what is in range, and the line that says so when it is not."""

import math
import os
import re
from collections.abc import Sequence
from functools import cache
from numbers import Real
from pathlib import Path

# The most characters of a value that a message shows.
LONGEST = 80
ACCELERATORS = ("auto", "cpu", "gpu")
DETERMINISTIC = (True, False, "warn")
PRECISIONS = ("auto", "32-true", "bf16-mixed")
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")

# Names of experiments and arms, which are names of folders and files too. The longest still make one.
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
NAME_RULE = "letters, digits, '_', '-' and '.', 100 at most"


def is_integer(value: object, *, least: int = 1) -> bool:
    """Tell whether `value` is an integer of at least `least`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_finite(value: object) -> bool:
    """Tell whether `value` is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> bool:
    """Tell whether `value` is a finite number above 0."""
    return is_finite(value) and value > 0  # type: ignore[operator]


def is_share(value: object, *, one: bool = True) -> bool:
    """Tell whether `value` is a number in [0, 1], or in [0, 1) where `one` is not allowed."""
    return is_finite(value) and 0 <= value <= 1 and (one or value < 1)  # type: ignore[operator]


def is_part(value: object) -> bool:
    """Tell whether `value` is the size of a part: its share, a float in [0, 1), or its number, an integer."""
    return is_integer(value, least=0) or (isinstance(value, float) and is_share(value, one=False))


def integer(name: str, value: object, *, least: int = 1) -> list[str]:
    """Return the problem line of a value that is no integer of at least `least`; none where it is."""
    return [] if is_integer(value, least=least) else [f"{name}={shown(value)}: must be an integer of at least {least}"]


def positive(name: str, value: object) -> list[str]:
    """Return the problem line of a value that is no finite number above 0; none where it is."""
    return [] if is_positive(value) else [f"{name}={shown(value)}: must be a finite number above 0"]


def not_negative(name: str, value: object) -> list[str]:
    """Return the problem line of a value that is no finite number of at least 0; none where it is."""
    fine = is_finite(value) and value >= 0  # type: ignore[operator]
    return [] if fine else [f"{name}={shown(value)}: must be a finite number of at least 0"]


def share(name: str, value: object, what: str = "", *, one: bool = True) -> list[str]:
    """Return the problem line of a value outside [0, 1], or [0, 1) without `one`; `what` says what the value is."""
    if is_share(value, one=one):
        return []
    return [f"{name}={shown(value)}: {what + ' ' if what else ''}must lie in [0, 1{']' if one else ')'}"]


def boolean(name: str, value: object) -> list[str]:
    """Return the problem line of a value that is neither true nor false; none where it is."""
    return [] if isinstance(value, bool) else [f"{name}={shown(value)}: must be true or false"]


def choice(name: str, value: object, known: Sequence[str | bool]) -> list[str]:
    """Return the problem line of a value that is none of the known ones."""
    of_a_kind = any(type(value) is type(it) and value == it for it in known)  # 0 is not false
    return [] if of_a_kind else [f"{name}={shown(value)}: must be one of {', '.join(str(shown(it)) for it in known)}"]


def text(name: str, value: object) -> list[str]:
    """Return the problem line of a value that is no text, or an empty one."""
    return [] if isinstance(value, str) and value else [f"{name}={shown(value)}: must be a text, and not an empty one"]


def shown(value: object) -> object:
    """Return a value as the user types it; a long one is cut."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if value == "":
        return "''"
    text = str(value)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def memory(name: str, value: object, needed: float, what: str) -> list[str]:
    """Return the problem line of a value that asks for more bytes than this machine has; none where it fits."""
    if needed <= machine_memory():
        return []
    return [f"{name}={shown(value)}: {what} would need {in_bytes(needed)}, and {in_bytes(machine_memory())} are there"]


@cache
def machine_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or less where its control group has less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (text := group.read_text().strip()).isdecimal():
        limits.append(int(text))
    return min(limits)


def in_bytes(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    power = min(int(math.log10(max(count, 1)) // 3), len(UNITS) - 1)
    return f"{count / 1000**power:,.3g} {UNITS[power]}"
