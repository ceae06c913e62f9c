"""Checks a composed config before anything is read or trained, and reports every problem at once.

Each part states its own limits: it is built here once, as the run will build it, and what its constructor raises is
reported under the part's key, one problem a line.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from kdlab import hardware
from kdlab.data import ClassificationData
from kdlab.data.held_out import class_indices
from kdlab.errors import ConfigError
from kdlab.losses import LossTerms
from kdlab.recipes import TARGETS, arm_recipe, fill_in, student_recipe, teacher_recipe
from kdlab.report.comparison import comparison_problems
from kdlab.results import SPLITS

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# Parts of the student's recipe that stand at the top of the config; the others stand under `student`.
TOP_LEVEL = ("optimizer", "schedule", "loss", "seed")
RECIPE = ("net", "augment", "optimizer", "schedule", "max_epochs", "patience", "seed")
TOP_KEYS = (
    "name",
    "seed",
    "data",
    "teacher",
    "student",
    "optimizer",
    "schedule",
    "loss",
    "arms",
    "trainer",
    "evaluation",
    "comparison",
)
SECTIONS = {
    "data": ("_target_",),
    "teacher": (*RECIPE, "checkpoint"),
    "student": (*RECIPE, "loss", "targets", "held_out_classes"),
    "arms": (),
    "trainer": ("accelerator", "precision"),
    "evaluation": ("splits", "prior_offsets", "cost"),
}


def check(config: DictConfig, data: ClassificationData | None = None) -> None:
    """Check all of a composed config.

    Args:
        config: as composed.
        data: to check against; None for the data set that the config names.

    Raises:
        ConfigError: with every problem: the key, its value, and what is allowed.
    """
    if misshapen := list(dict.fromkeys(_shape_problems(config))):
        raise ConfigError(misshapen)
    problems = [*_run_problems(config)]
    # A data set whose settings are wrong still has the shape and the classes that networks are checked against.
    data = data or _build("data", config.data, problems) or _build("data", {"_target_": config.data._target_}, [])
    if data is not None:
        config = fill_in(config, data)
    for path, part, value in _parts(config, problems):
        _check_part(path, part, value, data, problems)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _shape_problems(config: DictConfig) -> Iterator[str]:
    """Yield what keeps the config from being looked at any further: what is missing, unset or no mapping."""
    yield from (f"{key}: has no value" for key in OmegaConf.missing_keys(config))
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        yield str(error).split("\n")[0]
        return
    yield from _unknown("", plain, TOP_KEYS)
    for section, keys in SECTIONS.items():
        if section not in plain:
            yield f"{section}: is missing"
        elif not isinstance(plain[section], dict):
            yield f"{section}={_typed(plain[section])}: must be a mapping"
        else:
            yield from (f"{section}.{key}: is missing" for key in keys if key not in plain[section])
            if section not in ("data", "arms"):  # the first is checked by its class, the second has any names
                yield from _unknown(f"{section}.", plain[section], keys)
    arms = plain.get("arms")
    for arm, overrides in arms.items() if isinstance(arms, dict) else ():
        if not isinstance(arm, str) or arm in ("teacher", "bayes") or not NAME.fullmatch(arm):
            yield f"arms.{arm}: an arm's name is made of letters, digits, '_', '-' and '.', and not teacher or bayes"
        elif overrides is not None and not isinstance(overrides, dict):
            yield f"arms.{arm}={overrides}: must be a mapping of what it changes in the student's recipe, or empty"


def _unknown(prefix: str, section: dict[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{prefix}{key}: no such key; there are {', '.join(keys)}" for key in section if key not in keys)


def _typed(value: Any) -> Any:
    return "null" if value is None else value


def _run_problems(config: DictConfig) -> Iterator[str]:
    try:
        hardware.choose(config.trainer.accelerator, config.trainer.precision)
    except ValueError as error:
        yield from (f"trainer.{line}" for line in str(error).split("\n"))
    yield from _evaluation_problems(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    yield from comparison_problems(plain["comparison"])
    if not (isinstance(config.name, str) and NAME.fullmatch(config.name)):
        yield f"name={_typed(config.name)}: names a folder; letters, digits, '_', '-' and '.' are allowed"
    if not config.arms:
        yield "arms: there is none; choose an experiment (+experiment=dark_knowledge) or add one (+arms.distilled={})"


def _evaluation_problems(config: DictConfig) -> Iterator[str]:
    splits = config.evaluation.splits
    known = isinstance(splits, ListConfig) and all(split in SPLITS for split in splits)
    if not known or not splits or len(set(splits)) < len(splits):
        yield f"evaluation.splits={splits}: must be a list of one or more of {', '.join(SPLITS)}"
    elif "val" in splits and config.data.get("val_size") == 0:
        yield f"evaluation.splits={splits}: there is no validation part, since data.val_size=0"
    if not isinstance(config.evaluation.cost, bool):
        yield f"evaluation.cost={_typed(config.evaluation.cost)}: must be true or false"
    if config.evaluation.prior_offsets not in ("per_class", "shared"):
        yield f"evaluation.prior_offsets={config.evaluation.prior_offsets}: must be per_class or shared"


def _parts(config: DictConfig, problems: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield (key as the user types it, part, value) of all recipes; what arms share, once."""
    for part, value in teacher_recipe(config).items():
        shared_seed = part == "seed" and value == config.seed
        yield ("seed" if shared_seed else f"teacher.{part}"), part, value
    for part, value in student_recipe(config).items():
        if part == "held_out_classes" and value == config.data.get("held_out_classes"):
            continue  # the data set's own, checked there
        yield (part if part in TOP_LEVEL else f"student.{part}"), part, value
    for arm in config.arms:
        try:
            recipe = arm_recipe(config, arm)
        except ValueError as error:
            problems += str(error).split("\n")
        else:
            yield from ((f"arms.{arm}.{part}", part, recipe[part]) for part in config.arms[arm] or {})


def _check_part(path: str, part: str, value: Any, data: ClassificationData | None, problems: list[str]) -> None:
    if part in VALUES:
        problems += VALUES[part](path, value, data)
    elif not (isinstance(value, dict) and "_target_" in value):
        group = "model" if part == "net" else part
        problems.append(
            f"{path}={_typed(value)}: must be a mapping with a _target_; "
            f"an option of the group {group} is chosen by {group}@{path}=OPTION"
        )
    elif part == "net" and data is None:
        return  # its sizes may be the data set's, which is what must be mended first
    else:
        built = _build(path, value, problems)
        if built is None:
            return
        if part == "optimizer":
            _check_optimizer(path, value, built, problems)
        elif part == "schedule":
            _try(path, lambda: built(torch.optim.SGD([nn.Parameter(torch.zeros(1))]), 1), problems)
        elif part == "loss":
            problems += _loss_problems(path, built)
        elif part == "augment" and data is not None:
            problems += _augment_problems(path, built, data)
        elif part == "net":
            assert data is not None
            problems += _net_problems(path, built, data)


def _integer_problems(path: str, value: Any, *, least: int) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        yield f"{path}={_typed(value)}: must be an integer of at least {least}"


def _patience_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value is None:
        return
    yield from _integer_problems(path, value, least=1)
    if data is not None and data.val_size == 0:
        yield f"{path}={value}: stopping early needs a validation part, but data.val_size=0"


def _targets_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value not in TARGETS:
        yield f"{path}={value}: must be one of {', '.join(TARGETS)}"
    elif value.startswith("bayes") and data is not None and data.bayes_rule is None:
        yield f"{path}={value}: the true posterior of {data.name} is not known; that of data=blobs is"


def _held_out_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if data is not None:
        problems: list[str] = []
        _try(path.removesuffix(".held_out_classes"), lambda: class_indices(value, data.class_names), problems)
        yield from problems


def _checkpoint_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value is not None and not (isinstance(value, str) and Path(value).expanduser().is_file()):
        yield f"{path}={value}: no such file; a state_dict saved by torch.save, or .safetensors, is needed"


# Parts of a recipe that are plain values; all others are built.
VALUES: dict[str, Callable[[str, Any, ClassificationData | None], Iterator[str]]] = {
    "max_epochs": lambda path, value, data: _integer_problems(path, value, least=1),
    "seed": lambda path, value, data: _integer_problems(path, value, least=0),
    "patience": _patience_problems,
    "targets": _targets_problems,
    "held_out_classes": _held_out_problems,
    "checkpoint": _checkpoint_problems,
}


def _check_optimizer(path: str, node: dict[str, Any], built: Any, problems: list[str]) -> None:
    lr = node.get("lr", 1.0)
    if isinstance(lr, int | float) and not isinstance(lr, bool) and math.isfinite(lr) and lr > 0:
        _try(path, lambda: built([nn.Parameter(torch.zeros(1))]), problems)
    else:
        problems.append(f"{path}.lr={lr}: must be a finite number above 0")


def _loss_problems(path: str, loss: Any) -> Iterator[str]:
    logits, targets = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, dtype=torch.long)
    try:
        terms = loss(student_logits=logits, teacher_logits=logits.detach(), targets=targets)
        scalar = all(getattr(terms, name).shape == () for name in LossTerms._fields)
    except Exception as error:  # the user's own loss may fail in any way
        yield f"{path}: must take (student_logits=, teacher_logits=, targets=) and return LossTerms: {error}"
        return
    if not scalar:
        yield f"{path}: total, soft and hard must be scalars, averaged over the batch"


def _augment_problems(path: str, augment: nn.Module, data: ClassificationData) -> Iterator[str]:
    inputs = torch.zeros(2, *data.input_shape, dtype=torch.uint8)
    try:
        shape = tuple(augment(inputs).shape)
    except Exception as error:  # an augmentation may fail in any way on inputs it was not made for
        yield f"{path}: fails on {data.name}'s inputs of shape {data.input_shape}: {error}"
        return
    if shape != tuple(inputs.shape):
        yield f"{path}: makes {shape[1:]} of {data.name}'s inputs of shape {data.input_shape}"


def _net_problems(path: str, net: nn.Module, data: ClassificationData) -> Iterator[str]:
    inputs, classes = torch.zeros(2, *data.input_shape, dtype=torch.uint8), len(data.class_names)
    try:
        with torch.no_grad():
            shape = tuple(net.eval()(data.scale(inputs)).shape)
    except Exception as error:  # a network may fail in any way on inputs it was not made for
        yield f"{path}: fails on {data.name}'s inputs of shape {data.input_shape}: {error}"
        return
    if shape != (2, classes):
        yield f"{path}: gives outputs of shape {shape} for 2 samples, but {data.name} has {classes} classes"


def _build(path: str, node: Any, problems: list[str]) -> Any:
    return _try(path, lambda: instantiate(node, _convert_="all"), problems)


def _try(path: str, make: Callable[[], Any], problems: list[str]) -> Any:
    """Return what `make` makes; where it raises, add what went wrong to `problems` and return None."""
    try:
        return make()
    except Exception as error:  # any constructor, the user's own among them
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        lines = str(cause).strip().split("\n")
        names_keys = isinstance(cause, ValueError) and all(re.match(r"\w+=", line) for line in lines)
        problems += [f"{path}.{line}" for line in lines] if names_keys else [f"{path}: {' '.join(lines)}"]
        return None
