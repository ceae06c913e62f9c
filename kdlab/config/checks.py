"""What may be wrong with a config apart from its recipes: names, device, store, evaluation, comparison and so on.

All but `device_problems`, which asks torch for the machine's GPUs, is checked without torch.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdlab.config.claims import claim_problems
from kdlab.config.comparison import comparison_problems
from kdlab.config.nodes import node_problems
from kdlab.config.recipes import EVERY_ARM, Plain
from kdlab.config.tuning import reproduction_problems, tuning_problems
from kdlab.limits import (
    ACCELERATORS,
    DETERMINISTIC,
    NAME,
    NAME_RULE,
    PRECISIONS,
    boolean,
    choice,
    integer,
    is_integer,
    shown,
)
from kdlab.results import SPLITS


def run_problems(config: Plain) -> list[str]:
    """Return a line for each problem that shows without torch."""
    return [
        *_evaluation_problems(config),
        *comparison_problems(config["comparison"], config),
        *claim_problems(config["claims"], config),
        *tuning_problems(config["tuning"], config),
        *reproduction_problems(config["reproduction"]),
        *name_problems(config["name"]),
        *_text_problems(config),
        *_trainer_problems(config["trainer"]),
        *_store_problems(config["store"]),
        *_logger_problems(config["logger"]),
    ]


def _logger_problems(loggers: Any) -> Iterator[str]:
    if not isinstance(loggers, dict) or not all(isinstance(it, dict) and "_target_" in it for it in loggers.values()):
        yield f"logger={shown(loggers)}: must be loggers by name, each with a _target_; choose by logger=[csv,mlflow]"
        return
    for name, node in loggers.items():
        yield from node_problems(f"logger.{name}", node)


def _evaluation_problems(config: Plain) -> Iterator[str]:
    evaluation: Any = config["evaluation"]
    splits = evaluation["splits"]
    known = isinstance(splits, list) and all(split in SPLITS for split in splits)
    if splits is None:
        pass
    elif not known or not splits or len(set(splits)) < len(splits):
        yield f"evaluation.splits={shown(splits)}: must be null, or a list of one or more of {', '.join(SPLITS)}"
    elif "val" in splits and config["data"].get("val_size") == 0:
        yield f"evaluation.splits={splits}: there is no validation part, since data.val_size=0"
    yield from boolean("evaluation.cost", evaluation["cost"])
    yield from choice("evaluation.prior_offsets", evaluation["prior_offsets"], ("per_class", "shared"))
    networks = ("teacher", *(config.get("teachers") or ()), *(config.get("arms") or ()))
    if (reference := evaluation["reference"]) is not None and reference not in networks:
        yield f"evaluation.reference={shown(reference)}: must be null, or one of {', '.join(map(str, networks))}"


def name_problems(name: Any) -> Iterator[str]:
    """Yield what is wrong with the name of an experiment."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"name={shown(name)}: names a folder; allowed are {NAME_RULE}"


def _text_problems(config: Plain) -> Iterator[str]:
    question = config["question"]
    if not isinstance(question, str | None):
        yield f"question={shown(question)}: must be a text, or null"
    if not isinstance(config["figures"], bool | None):
        yield f"figures={shown(config['figures'])}: must be true, false or null"
    if not config["arms"]:
        yield "arms: there is none; choose an experiment (+experiment=dark_knowledge) or add one (+arms.distilled={})"


def _trainer_problems(trainer: Plain) -> Iterator[str]:
    yield from choice("trainer.accelerator", trainer["accelerator"], ACCELERATORS)
    yield from choice("trainer.precision", trainer["precision"], PRECISIONS)
    yield from choice("trainer.deterministic", trainer["deterministic"], DETERMINISTIC)
    yield from integer("trainer.devices", trainer["devices"])
    stack = trainer["stack"]
    if not is_integer(stack) and stack not in ("auto", "off"):
        yield f"trainer.stack={shown(stack)}: must be auto, off or an integer of at least 1"


def device_problems(config: Plain, *, in_sweep: bool) -> Iterator[str]:
    """Yield a line for each problem with the device; `in_sweep` for the config of one point of a sweep."""
    from kdlab import hardware  # imports torch

    trainer = config["trainer"]
    try:
        devices = hardware.choose(**{key: value for key, value in trainer.items() if key != "stack"}).devices
    except ValueError as error:
        yield from (f"trainer.{line}" for line in str(error).split("\n"))
        return
    if devices > 1 and in_sweep:
        yield (
            f"trainer.devices={devices}: a sweep gives each of its jobs one device; leave out -m to spread one fit "
            "over several, or leave trainer.devices=1 and let the jobs run side by side (hydra.launcher.slots)"
        )
    for key, size in _batch_sizes(config):
        if size % devices:
            yield f"{key}={size}: must be a multiple of trainer.devices={devices}, which share each batch"


def _batch_sizes(config: Plain) -> Iterator[tuple[str, int]]:
    """Yield each key of a batch size, and its value."""
    places = {place: config[place] for place in ("data", "teacher", "student", EVERY_ARM)}
    places |= {f"{group}.{name}": node for group in ("teachers", "arms") for name, node in config[group].items()}
    for place, node in places.items():
        size: Any = (node or {}).get("batch_size")
        if is_integer(size):
            yield f"{place}.batch_size", size


def _store_problems(store: Plain) -> Iterator[str]:
    folder = store["folder"]
    if folder is not None and not (isinstance(folder, str) and folder):
        yield f"store.folder={shown(folder)}: must be a folder, or null to keep nothing"
    elif folder is not None and (problem := folder_problem(Path(folder).expanduser())):
        yield f"store.folder={shown(folder)}: {problem}"
    yield from boolean("store.refresh", store["refresh"])


def folder_problem(folder: Path) -> str | None:
    """Return why a folder cannot be made or written to; None where it can."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except (OSError, ValueError) as error:
        return f"cannot be a folder: {error.strerror if isinstance(error, OSError) else error}"
    if not there.is_dir():
        return "is a file; a folder is needed" if there == folder else f"cannot be made: {there} is a file"
    return None if os.access(there, os.W_OK) else f"cannot be written to: {there} is not yours"
