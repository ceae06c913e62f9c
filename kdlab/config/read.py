"""A composed config → an `Experiment`, or one `ConfigError` with every problem, before anything is read or trained."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from omegaconf import DictConfig

from kdlab.config.checks import device_problems
from kdlab.config.claims import claims_of, class_problems
from kdlab.config.early import check_early
from kdlab.config.experiment import (
    EvaluationSettings,
    Experiment,
    Node,
    Recipe,
    StoreSettings,
    StudentRecipe,
    TrainerSettings,
)
from kdlab.config.loggers import FIELDS, logger_for
from kdlab.config.nodes import SIZES
from kdlab.config.parts import built_with, check_part, needs_soft_targets, tried
from kdlab.config.recipes import EVERY_ARM, Plain, parts_of, recipes_of, told_once
from kdlab.data import ClassificationData
from kdlab.data.held_out import class_indices
from kdlab.errors import ConfigError

# Takes the place of a loss that needs soft targets, where the targets are hard.
HARD_LOSS: Node = {"_target_": "kdlab.losses.HardLoss"}


def read(config: DictConfig, data: ClassificationData | None = None, *, in_sweep: bool = False) -> Experiment:
    """Read a composed config.

    Args:
        config: as composed.
        data: to read it for; None for the data set that the config names. It need not be set up.
        in_sweep: whether it is the config of one point of a sweep.

    Raises:
        ConfigError: with every problem: the key, its value, and what is allowed.
    """
    plain, problems, wrong = check_early(config)
    problems += device_problems(plain, in_sweep=in_sweep)
    data = data or _data_set(plain["data"], problems, built="data" not in wrong)
    if data is not None:
        plain = filled_in(plain, data)
    if not any(line.startswith("logger") for line in problems):
        for name, node in plain["logger"].items():
            tried(f"logger.{name}", node, partial(logger_for, node, dict.fromkeys(FIELDS, name)), problems)
    recipes = recipes_of(plain, problems)
    parts = [(path, part, value) for path, part, value in parts_of(plain, recipes) if path not in wrong]
    if data is None or not in_sweep:
        for path, part, value in parts:
            check_part(path, part, value, data, problems)
    else:
        problems += _part_problems(parts, plain["data"], data)
    if data is None or problems:
        raise ConfigError(told_once(problems))
    return _experiment(plain, recipes, data, problems)


# Parts of recipes that were found sound in this process, with the data set for which they were.
_sound: set[str] = set()


def _part_problems(parts: Iterable[tuple[str, str, Any]], node: Node, data: ClassificationData) -> Iterator[str]:
    """Yield what is wrong with parts of recipes; what an earlier point of the sweep had too is not checked again."""
    checked_for = (type(data), node, data.input_shape, list(data.class_names))
    for path, part, value in parts:
        if (what := repr((part, value, checked_for))) not in _sound:
            found: list[str] = []
            check_part(path, part, value, data, found)
            yield from found
            _sound.update([] if found else [what])


def known(plain: Plain, data: ClassificationData) -> Experiment:
    """Read the values of a config that has been checked before, in the same code; `data` is what `read` took for it.

    Raises:
        ConfigError: when something is wrong with it after all, as far as that shows without a check.
    """
    problems: list[str] = []
    filled = filled_in(plain, data)
    return _experiment(filled, recipes_of(filled, problems), data, problems)


def _experiment(
    plain: dict[str, Any], recipes: Mapping[str, Recipe], data: ClassificationData, problems: list[str]
) -> Experiment:
    claims = claims_of(plain)
    problems += class_problems(claims, data.name, len(data.class_names))
    recipes = resolved(recipes, data, problems)
    if problems:
        raise ConfigError(told_once(problems))
    return Experiment(
        name=plain["name"],
        question=plain["question"],
        seed=plain["seed"],
        data=data,
        recipes=recipes,
        trainer=TrainerSettings(**plain["trainer"]),
        evaluation=EvaluationSettings(**plain["evaluation"] | {"splits": tuple(plain["evaluation"]["splits"])}),
        store=StoreSettings(**plain["store"]),
        figures=plain["figures"],
        logger=plain["logger"],
        comparison=plain["comparison"],
        claims=claims,
        config=plain,
    )


def _data_set(node: Node, problems: list[str], *, built: bool) -> ClassificationData | None:
    """Return the data set; where its settings are wrong, one with their defaults, if there is such a one.

    That still has the shape and the classes that networks are checked against.
    """
    data = built_with("data", node, problems, _is_data) if built else None
    return data or built_with("data", {"_target_": node["_target_"]}, [], _is_data)


def _is_data(built: Any) -> ClassificationData:
    if not isinstance(built, ClassificationData):
        raise TypeError(f"makes a {type(built).__name__}; a kdlab.data.ClassificationData is needed")
    return built


def filled_in(config: Plain, data: ClassificationData) -> dict[str, Any]:
    """Return the config with a value for everything that it leaves to the data set.

    In a network and in the networks inside of it, `inputs: null` becomes a sample's shape, `image_channels: null` its
    first number, `outputs: null` and `num_classes: null` the number of classes. Students without held-out classes of
    their own get the data set's. `evaluation.splits: null` becomes the validation part, if there is one, and the test
    set.
    """
    student, evaluation = dict(config["student"]), dict(config["evaluation"])
    if student["held_out_classes"] == config["data"].get("held_out_classes"):
        student["held_out_classes"] = list(data.held_out)
    if evaluation["splits"] is None:
        evaluation["splits"] = ["val", "test"] if data.val_size else ["test"]
    classes = len(data.class_names)
    of_data = dict(zip(SIZES, (list(data.input_shape), data.input_shape[0], classes, classes), strict=True))

    def sized(recipe: Plain | None) -> Any:
        return {**recipe, "net": _sized(recipe["net"], of_data)} if recipe and "net" in recipe else recipe

    fits = {section: {name: sized(it) for name, it in config[section].items()} for section in ("teachers", "arms")}
    return {
        **config,
        "teacher": sized(config["teacher"]),
        "student": sized(student),
        EVERY_ARM: sized(config[EVERY_ARM]),
        "evaluation": evaluation,
        **fits,
    }


def _sized(node: Any, of_data: Plain) -> Any:
    """Return a network's config with the data set's sizes in place of null, at any depth."""
    if isinstance(node, list):
        return [_sized(item, of_data) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: of_data[key] if key in of_data and value is None else _sized(value, of_data) for key, value in node.items()
    }


def resolved(recipes: Mapping[str, Recipe], data: ClassificationData, problems: list[str]) -> dict[str, Recipe]:
    """Return the recipes with held-out classes as indices, and with the loss that each student minimizes.

    Where the targets are hard, `HardLoss` replaces a loss that needs soft ones. Where the targets are soft, a loss that
    does not use them is a problem.
    """
    return {
        name: _student(name, recipe, data, problems) if isinstance(recipe, StudentRecipe) else recipe
        for name, recipe in recipes.items()
    }


def _student(name: str, recipe: StudentRecipe, data: ClassificationData, problems: list[str]) -> StudentRecipe:
    held_out = tuple(class_indices(recipe.held_out_classes, data.class_names))
    needs_soft, soft = needs_soft_targets(recipe.loss), recipe.learns_from.soft
    if soft and not needs_soft:
        loss = recipe.loss["_target_"]
        problems.append(f"arms.{name}: {loss} uses no soft targets, but targets={recipe.targets}; take targets=truth")
    if recipe.control and not soft:
        problems.append(f"arms.{name}: a control changes soft targets, but targets={recipe.targets} are hard")
    if recipe.control and not recipe.augment["_target_"].endswith("Identity"):
        problems.append(f"arms.{name}: a control needs targets that stay the same, so an arm without augmentation")
    return replace(recipe, held_out_classes=held_out, loss=HARD_LOSS if needs_soft and not soft else recipe.loss)
