"""What each fit of an experiment is made from: the teacher's recipe, and one for each arm.

A recipe has the keys net, augment, optimizer, schedule, max_epochs and seed; a student's has loss and targets too.
"""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

Recipe = dict[str, Any]
TARGETS = ("truth", "teacher_soft")


def teacher_recipe(config: DictConfig) -> Recipe:
    """Return the teacher's recipe, resolved."""
    return _plain(config.teacher)


def student_recipe(config: DictConfig) -> Recipe:
    """Return the recipe that the arms share, resolved."""
    return _plain(config.student)


def arm_recipe(config: DictConfig, arm: str) -> Recipe:
    """Return the student's recipe with the arm's overrides, resolved.

    An override that names a `_target_` replaces what it overrides; any other is merged into it.

    Raises:
        ValueError: one line for each override of something that the student's recipe does not have.
    """
    problems: list[str] = []
    overrides = _plain(config.arms[arm] or {})
    recipe = _merge(student_recipe(config), overrides, f"arms.{arm}", problems)
    if problems:
        raise ValueError("\n".join(problems))
    return recipe


def _merge(base: Recipe, overrides: Recipe, path: str, problems: list[str]) -> Recipe:
    merged = dict(base)
    for key, value in overrides.items():
        if key not in base:
            problems.append(f"{path}.{key}: no such key in the student's recipe; there are {', '.join(sorted(base))}")
        elif isinstance(value, dict) and isinstance(base[key], dict) and "_target_" not in value:
            merged[key] = _merge(base[key], value, f"{path}.{key}", problems)
        else:
            merged[key] = value
    return merged


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig | ListConfig) else node
