"""The recipes of all fits, from a config as plain values: overrides merged, and the order in which fits are trained.

Imports no torch: reports read recipes too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from typing import Any

from kdlab.config.experiment import TEACHER, Recipe, StudentRecipe, TeacherRecipe
from kdlab.limits import shown

Plain = Mapping[str, Any]
# Parts of the student's recipe that stand at the top of the config; the others stand under `student`.
TOP_LEVEL = ("optimizer", "schedule", "loss", "seed")
# What changes in every arm's recipe; results of earlier versions have none.
EVERY_ARM = "every_arm"


def recipes_of(config: Plain, problems: list[str]) -> dict[str, Recipe]:
    """Return the recipe of each fit by name: the teacher, further teachers, the arms.

    An override that names a `_target_` replaces what it overrides; any other is merged into it. What `every_arm` holds
    is set in each arm, over what the arm has of its own.

    Args:
        config: with plain values, all resolved.
        problems: gets a line for each override of something that the recipe does not have, for each unknown teacher and
            for each cycle; fits with such a problem are left out.
    """
    recipes: dict[str, Recipe] = {TEACHER: TeacherRecipe(**config["teacher"])}
    for section, kind, base in (("teachers", TeacherRecipe, "teacher"), ("arms", StudentRecipe, "student")):
        for name, overrides in config[section].items():
            found: list[str] = []
            merged = _merged(config[base], overrides or {}, f"{section}.{name}", f"the {base}'s recipe", found)
            if section == "arms":
                merged = _merged(merged, config.get(EVERY_ARM) or {}, EVERY_ARM, "the student's recipe", found)
            if not found:
                recipes[name] = kind(**merged | ({"teacher": _names(merged["teacher"])} if section == "arms" else {}))
            problems += found
    problems += _graph_problems(recipes, config)
    return recipes


def parts_of(config: Plain, recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, str, Any]]:
    """Yield (key as the user types it, part, value) for all recipes; what fits share, once."""
    for part, value in config["teacher"].items():
        if part == "net" and config["teacher"].get("logits"):
            continue  # its logits are given, so that no network is built
        shared_seed = part == "seed" and value == config["seed"]
        yield ("seed" if shared_seed else f"teacher.{part}"), part, value
    for part, value in config["student"].items():
        if part == "held_out_classes" and value == config["data"].get("held_out_classes"):
            continue  # the data set's own, checked there
        yield (part if part in TOP_LEVEL else f"student.{part}"), part, value
    every = config.get(EVERY_ARM) or {}
    for section in ("teachers", "arms"):
        for name, overrides in config[section].items():
            if name not in recipes:
                continue
            forced = every if section == "arms" else {}
            for part in {**(overrides or {}), **forced}:
                path = f"{EVERY_ARM}.{part}" if part in forced else f"{section}.{name}.{part}"
                yield path, part, getattr(recipes[name], part)


def told_once(problems: Iterable[str]) -> list[str]:
    """Return the problems, each once: what an arm only takes over from the student's recipe is told there."""
    lines = dict.fromkeys(problems)

    def taken_over(line: str) -> bool:
        section, _, rest = line.partition(".")
        tail = rest.partition(".")[2]
        base = "teacher" if section == "teachers" else "student"
        part = tail.partition(".")[0]
        return section in ("arms", "teachers") and (f"{base}.{tail}" in lines or (part in TOP_LEVEL and tail in lines))

    return [line for line in lines if not taken_over(line)]


def generations(recipes: Mapping[str, Recipe]) -> list[list[str]]:
    """Return the names of the fits in groups: those of a group need none but the groups before it."""
    order = TopologicalSorter({name: recipe.needs for name, recipe in recipes.items()})
    order.prepare()
    groups = []
    while order.is_active():
        ready = order.get_ready()
        groups.append([name for name in recipes if name in ready])
        order.done(*ready)
    return groups


def keys_of(kind: Any) -> tuple[str, ...]:
    """Return the keys of the section of the config that this dataclass describes."""
    return tuple(field.name for field in fields(kind))


def _merged(base: Plain, overrides: Plain, path: str, whose: str, problems: list[str]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        if key not in base:
            problems.append(f"{path}.{key}: no such key in {whose}; there are {', '.join(sorted(base))}")
        elif isinstance(value, Mapping) and isinstance(base[key], Mapping) and "_target_" not in value:
            merged[key] = _merged(base[key], value, f"{path}.{key}", whose, problems)
        else:
            merged[key] = value
    return merged


def _names(teacher: Any) -> tuple[str, ...]:
    return tuple(teacher) if isinstance(teacher, list) else (teacher,)


def _graph_problems(recipes: Mapping[str, Recipe], config: Plain) -> list[str]:
    known = (TEACHER, *config["teachers"], *config["arms"])
    problems = []
    for name, recipe in recipes.items():
        own = "teacher" in (config["arms"].get(name) or {})
        every = "teacher" in (config.get(EVERY_ARM) or {})
        key = f"{EVERY_ARM}.teacher" if every else f"arms.{name}.teacher" if own else "student.teacher"
        if isinstance(recipe, StudentRecipe) and len(recipe.teacher) != 1:
            problems.append(f"{key}={list(recipe.teacher)}: name one fit; several teachers at once are not built yet")
        for teacher in recipe.teacher:
            if teacher not in known:
                problems.append(f"{key}={shown(teacher)}: no such fit; there are {', '.join(known)}")
            elif (known_by_heart := _heart_problem(name, teacher, recipes)) is not None:
                problems.append(known_by_heart)
        if isinstance(recipe, TeacherRecipe) and recipe.logits and recipe.checkpoint:
            problems.append(f"{name}.logits={shown(recipe.logits)}: give this or {name}.checkpoint, not both")
        if isinstance(recipe, StudentRecipe) and recipe.start is not None:
            problems += _start_problems(name, recipe, recipes)
    if problems:
        return list(dict.fromkeys(problems))
    try:
        generations(recipes)
    except CycleError as error:
        circle = error.args[1]
        return [f"arms.{circle[0]}: fits that need each other in a circle, {' → '.join(circle)}"]
    return []


def _heart_problem(name: str, teacher: str, recipes: Mapping[str, Recipe]) -> str | None:
    """Return why a student cannot have a teacher that is a file of logits; None where it can."""
    student, source = recipes[name], recipes.get(teacher)
    plain = not isinstance(student.augment, Mapping) or str(student.augment.get("_target_")).endswith("Identity")
    if plain or not isinstance(source, TeacherRecipe) or not source.logits or student.targets == "truth":
        return None
    return (
        f"arms.{name}: {teacher}.logits are for images as they are, but the student's are augmented; take augment=none"
    )


def _start_problems(name: str, recipe: StudentRecipe, recipes: Mapping[str, Recipe]) -> list[str]:
    """Return what is wrong with the fit that a student begins with."""
    at = f"arms.{name}.start={shown(recipe.start)}"
    if not isinstance(recipe.start, str) or recipe.start not in recipes:
        return [f"{at}: no such fit; there are {', '.join(recipes)}"]
    if recipes[recipe.start].net != recipe.net:
        return [f"{at}: its network is another one, whose weights do not fit {name}'s"]
    return []
