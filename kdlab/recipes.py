"""What each fit of an experiment is made from: the teacher's recipe, and one for each arm.

A recipe has the keys net, augment, optimizer, schedule, max_epochs, patience and seed; the teacher's has checkpoint
too, a student's loss, targets and held_out_classes.
"""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from kdlab.data import ClassificationData

Recipe = dict[str, Any]
# Where a student's targets come from: the labels; the teacher's first choice, or its logits; the true posterior's.
TARGETS = ("truth", "teacher_hard", "teacher_soft", "bayes_hard", "bayes_soft")
# What is minimized with hard targets; a teacher's recipe names none.
HARD_TARGETS = {
    None: "L = CE(z_t, y)",
    "truth": "L = CE(z_s, y)",
    "teacher_hard": "L = CE(z_s, argmax z_t)",
    "bayes_hard": "L = CE(z_s, argmax P(y | x))",
}


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


def fill_in(config: DictConfig, data: ClassificationData) -> DictConfig:
    """Return a copy of `config` in which what is left to the data set has a value.

    Of a network, `inputs: null` becomes a sample's shape, `image_channels: null` its first number, `outputs: null` the
    number of classes. The students' held-out classes become the data set's, where they are not their own. What is
    measured on is the validation part, if there is one, and the test set, where `evaluation.splits` does not say.
    """
    config = OmegaConf.create(OmegaConf.to_container(config))  # type: ignore[assignment]
    if config.student.held_out_classes == config.data.get("held_out_classes"):
        config.student.held_out_classes = list(data.held_out)
    if config.evaluation.splits is None:
        config.evaluation.splits = ["val", "test"] if data.val_size else ["test"]
    of_data = {
        "inputs": list(data.input_shape),
        "image_channels": data.input_shape[0],
        "outputs": len(data.class_names),
    }
    for recipe in (config.teacher, config.student, *config.arms.values()):
        net = recipe.get("net") if isinstance(recipe, DictConfig) else None
        for key, value in of_data.items():
            if isinstance(net, DictConfig) and key in net and net[key] is None:
                net[key] = value
    return config


def objective(recipe: Recipe) -> str:
    """Return what a fit with this recipe minimizes, as an equation.

    z_s are the student's logits, z_t the teacher's, y the labels, CE the cross-entropy. Of a loss that does not write
    its equation (`extra_repr`) it is the name.
    """
    targets = recipe.get("targets")
    if targets in HARD_TARGETS:
        return HARD_TARGETS[targets]
    loss: nn.Module = instantiate(recipe["loss"], _convert_="all")
    equation = loss.extra_repr() or type(loss).__name__
    return f"{equation}, z_t = log P(y | x) of the true posterior" if targets == "bayes_soft" else equation


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
