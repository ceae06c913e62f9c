"""A composed config → an `Experiment`, or one `ConfigError` with every problem, before anything is read or trained."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from kdlab.config.checks import run_problems
from kdlab.config.experiment import (
    EvaluationSettings,
    Experiment,
    Node,
    Recipe,
    StoreSettings,
    StudentRecipe,
    TrainerSettings,
)
from kdlab.config.parts import build, check_part, needs_soft_targets
from kdlab.config.recipes import Plain, recipes_of
from kdlab.config.structure import TOP_LEVEL, plain_values
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
    plain = plain_values(config)
    problems = run_problems(plain, in_sweep=in_sweep)
    # A data set whose settings are wrong still has the shape and the classes that networks are checked against.
    data = data or build("data", plain["data"], problems) or build("data", {"_target_": plain["data"]["_target_"]}, [])
    if data is not None:
        plain = filled_in(plain, data)
    recipes = recipes_of(plain, problems)
    for path, part, value in _parts(plain, recipes):
        check_part(path, part, value, data, problems)
    if data is None or problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    recipes = resolved(recipes, data, problems)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
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
        comparison=plain["comparison"],
        config=plain,
    )


def filled_in(config: Plain, data: ClassificationData) -> dict[str, Any]:
    """Return the config with a value for everything that it leaves to the data set.

    In a network, `inputs: null` becomes a sample's shape, `image_channels: null` its first number, `outputs: null` the
    number of classes. Students without held-out classes of their own get the data set's. `evaluation.splits: null`
    becomes the validation part, if there is one, and the test set.
    """
    student, evaluation = dict(config["student"]), dict(config["evaluation"])
    if student["held_out_classes"] == config["data"].get("held_out_classes"):
        student["held_out_classes"] = list(data.held_out)
    if evaluation["splits"] is None:
        evaluation["splits"] = ["val", "test"] if data.val_size else ["test"]
    of_data = {
        "inputs": list(data.input_shape),
        "image_channels": data.input_shape[0],
        "outputs": len(data.class_names),
    }

    def sized(recipe: Plain | None) -> Any:
        net = (recipe or {}).get("net")
        if not isinstance(net, Mapping):
            return recipe
        sizes = {key: value for key, value in of_data.items() if key in net and net[key] is None}
        return {**(recipe or {}), "net": {**net, **sizes}}

    fits = {section: {name: sized(it) for name, it in config[section].items()} for section in ("teachers", "arms")}
    return {
        **config,
        "teacher": sized(config["teacher"]),
        "student": sized(student),
        "evaluation": evaluation,
        **fits,
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
    return replace(recipe, held_out_classes=held_out, loss=HARD_LOSS if needs_soft and not soft else recipe.loss)


def _parts(config: Plain, recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, str, Any]]:
    """Yield (key as the user types it, part, value) for all recipes; what fits share, once."""
    for part, value in config["teacher"].items():
        shared_seed = part == "seed" and value == config["seed"]
        yield ("seed" if shared_seed else f"teacher.{part}"), part, value
    for part, value in config["student"].items():
        if part == "held_out_classes" and value == config["data"].get("held_out_classes"):
            continue  # the data set's own, checked there
        yield (part if part in TOP_LEVEL else f"student.{part}"), part, value
    for section in ("teachers", "arms"):
        for name, overrides in config[section].items():
            for part in overrides or {} if name in recipes else {}:
                yield f"{section}.{name}.{part}", part, getattr(recipes[name], part)
