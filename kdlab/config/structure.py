"""The structure of a config: which keys it must have, and what is missing, unset, unknown or not a mapping."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.config.experiment import (
    TEACHER,
    EvaluationSettings,
    Experiment,
    StoreSettings,
    StudentRecipe,
    TeacherRecipe,
    TrainerSettings,
)
from kdlab.config.interpolations import resolved_values
from kdlab.config.recipes import EVERY_ARM, TOP_LEVEL, keys_of
from kdlab.errors import ConfigError
from kdlab.limits import NAME, NAME_RULE, shown

# Integers of 64 bits, as tensors hold them.
LARGEST = 2**63
# Sections whose keys are given by a class here; the data set's own class checks those of `data`.
SECTIONS = {
    "teacher": keys_of(TeacherRecipe),
    "student": keys_of(StudentRecipe),
    "trainer": keys_of(TrainerSettings),
    "evaluation": keys_of(EvaluationSettings),
    "store": keys_of(StoreSettings),
}
# Sections that change no run: how settings were chosen, and what is reproduced.
RECORDS = ("tuning", "reproduction")
# Sections that list fits, under any names.
FITS = ("teachers", "arms")
_OF_EXPERIMENT = (key for key in keys_of(Experiment) if key not in ("recipes", "config"))
TOP_KEYS = tuple(dict.fromkeys([*_OF_EXPERIMENT, *SECTIONS, *FITS, EVERY_ARM, *RECORDS, *TOP_LEVEL]))


def plain_values(config: DictConfig) -> dict[str, Any]:
    """Return the config as plain values, with every interpolation resolved.

    Raises:
        ConfigError: with every structural problem, which makes deeper checks impossible.
    """
    if missing := [f"{key}: is missing" for key in TOP_KEYS if key not in list(config)]:
        raise ConfigError(missing)
    plain = resolved_values(config)
    problems = [*_impossible("", plain)]
    if problems:
        # As written: what other keys take over by interpolation is told once, under the key that it was given for.
        problems = [*_impossible("", OmegaConf.to_container(config))] or problems
    if problems := problems or [*_problems(plain)]:
        raise ConfigError(list(dict.fromkeys(problems)))
    return plain


def _impossible(path: str, value: Any) -> Iterator[str]:
    """Yield a line for each value that no part of a config can have."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _impossible(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _impossible(f"{path}[{i}]", inner)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path}={value}: must be finite"
    elif isinstance(value, int) and abs(value) >= LARGEST:
        yield f"{path}={shown(value)}: integers end at 2⁶³ − 1; write a larger number as a float, such as 1e24"
    elif isinstance(value, str) and value != value.encode(errors="replace").decode():
        yield f"{path}={shown(value)!r}: is no text in UTF-8"


def _problems(plain: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("", plain, TOP_KEYS)
    for section in ("data", *SECTIONS, *FITS, EVERY_ARM):
        if section in plain and not isinstance(plain[section], Mapping):
            yield f"{section}={shown(plain[section])}: must be a mapping"
    sections = {name: plain[name] for name in (*SECTIONS, "data") if isinstance(plain.get(name), Mapping)}
    for section, content in sections.items():
        keys = SECTIONS.get(section, ("_target_",))
        yield from (f"{section}.{key}: is missing" for key in keys if key not in content)
        if section in SECTIONS:
            yield from _unknown(f"{section}.", content, keys)
    for section in FITS:
        fits = plain.get(section)
        for name, overrides in fits.items() if isinstance(fits, Mapping) else ():
            yield from _fit_problems(section, name, overrides, plain)


def _fit_problems(section: str, name: Any, overrides: Any, plain: Mapping[str, Any]) -> Iterator[str]:
    what = "an arm" if section == "arms" else "a teacher"
    if not isinstance(name, str) or name in (TEACHER, "bayes") or not NAME.fullmatch(name):
        yield f"{section}.{shown(name)}: {what}'s name is made of {NAME_RULE}, and not teacher or bayes"
    elif section == "arms" and isinstance(plain.get("teachers"), Mapping) and name in plain["teachers"]:
        yield f"arms.{name}: a teacher has this name too; rename one of them"
    if not isinstance(overrides, Mapping | None):
        yield f"{section}.{name}={shown(overrides)}: must be a mapping"


def _unknown(path: str, given: Mapping[str, Any], known: Sequence[str]) -> Iterator[str]:
    yield from (f"{path}{key}: no such key; there are {', '.join(known)}" for key in given if key not in known)
