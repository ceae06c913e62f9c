"""Checks a composed config before anything is read or trained, and reports every problem at once.

Each part states its own limits: it is built here once, as the run will build it, and what its constructor raises is
reported under the part's key, one problem a line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab import hardware
from kdlab.data import ClassificationData
from kdlab.errors import ConfigError
from kdlab.part_checks import build, check_part, shown
from kdlab.recipes import arm_recipe, fill_in, student_recipe, teacher_recipe
from kdlab.report.comparison import comparison_problems
from kdlab.results import SPLITS

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# Parts of the student's recipe that stand at the top of the config; the others stand under `student`.
TOP_LEVEL = ("optimizer", "schedule", "loss", "seed")
RECIPE = ("net", "augment", "optimizer", "schedule", "max_epochs", "patience", "seed")
TOP_KEYS = (
    "name",
    "question",
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
    "store",
    "figures",
)
SECTIONS = {
    "data": ("_target_",),
    "teacher": (*RECIPE, "checkpoint"),
    "student": (*RECIPE, "loss", "targets", "held_out_classes"),
    "arms": (),
    "trainer": ("accelerator", "precision", "devices"),
    "evaluation": ("splits", "prior_offsets", "cost"),
    "store": ("folder", "refresh"),
}


def check(config: DictConfig, data: ClassificationData | None = None, *, in_sweep: bool = False) -> None:
    """Check all of a composed config.

    Args:
        config: as composed.
        data: to check against; None for the data set that the config names.
        in_sweep: whether it is that of one point of a sweep.

    Raises:
        ConfigError: with every problem: the key, its value, and what is allowed.
    """
    if misshapen := list(dict.fromkeys(_shape_problems(config))):
        raise ConfigError(misshapen)
    problems = [*_run_problems(config), *_device_problems(config, in_sweep), *_store_problems(config)]
    # A data set whose settings are wrong still has the shape and the classes that networks are checked against.
    data = data or build("data", config.data, problems) or build("data", {"_target_": config.data._target_}, [])
    if data is not None:
        config = fill_in(config, data)
    for path, part, value in _parts(config, problems):
        check_part(path, part, value, data, problems)
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
            yield f"{section}={shown(plain[section])}: must be a mapping"
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


def _run_problems(config: DictConfig) -> Iterator[str]:
    yield from _evaluation_problems(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    yield from comparison_problems(plain["comparison"])
    if not (isinstance(config.name, str) and NAME.fullmatch(config.name)):
        yield f"name={shown(config.name)}: names a folder; letters, digits, '_', '-' and '.' are allowed"
    if not (config.question is None or isinstance(config.question, str)):
        yield f"question={shown(config.question)}: must be a text, or null"
    if config.figures not in (None, True, False):
        yield f"figures={config.figures}: must be true, false or null"
    if not config.arms:
        yield "arms: there is none; choose an experiment (+experiment=dark_knowledge) or add one (+arms.distilled={})"


def _device_problems(config: DictConfig, in_sweep: bool) -> Iterator[str]:
    trainer, batch_size = config.trainer, config.data.get("batch_size", 1)
    try:
        devices = hardware.choose(trainer.accelerator, trainer.precision, trainer.devices).devices
    except ValueError as error:
        yield from (f"trainer.{line}" for line in str(error).split("\n"))
        return
    if devices > 1 and in_sweep:
        yield (
            f"trainer.devices={devices}: a sweep gives each of its jobs one device; leave out -m to spread one fit "
            "over several, or leave trainer.devices=1 and let the jobs run side by side (hydra.launcher.slots)"
        )
    if isinstance(batch_size, int) and batch_size % devices:
        yield f"data.batch_size={batch_size}: must be a multiple of trainer.devices={devices}, which share each batch"


def _store_problems(config: DictConfig) -> Iterator[str]:
    folder, refresh = config.store.folder, config.store.refresh
    if not (folder is None or (isinstance(folder, str) and folder)):
        yield f"store.folder={folder}: must be a folder, or null to keep nothing"
    elif folder is not None and Path(folder).expanduser().is_file():
        yield f"store.folder={folder}: is a file; a folder is needed"
    if not isinstance(refresh, bool):
        yield f"store.refresh={shown(refresh)}: must be true or false"


def _evaluation_problems(config: DictConfig) -> Iterator[str]:
    splits = config.evaluation.splits
    known = isinstance(splits, ListConfig) and all(split in SPLITS for split in splits)
    if splits is None:
        pass
    elif not known or not splits or len(set(splits)) < len(splits):
        yield f"evaluation.splits={splits}: must be null, or a list of one or more of {', '.join(SPLITS)}"
    elif "val" in splits and config.data.get("val_size") == 0:
        yield f"evaluation.splits={splits}: there is no validation part, since data.val_size=0"
    if not isinstance(config.evaluation.cost, bool):
        yield f"evaluation.cost={shown(config.evaluation.cost)}: must be true or false"
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
