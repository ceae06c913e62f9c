"""All of a config that can be checked without torch, whose import takes seconds: most typing errors end here."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from kdlab.config.checks import run_problems
from kdlab.config.experiment import TARGETS
from kdlab.config.nodes import network_problems, node_problems, optimizer_problems
from kdlab.config.recipes import parts_of, recipes_of, told_once
from kdlab.config.structure import plain_values
from kdlab.errors import ConfigError
from kdlab.limits import boolean, choice, integer, positive, shown


class Early(NamedTuple):
    """A config as plain values, what is wrong with it, and the parts of recipes that need no further check."""

    plain: dict[str, Any]
    problems: list[str]
    wrong: frozenset[str]


def refuse_early(config: DictConfig) -> None:
    """Refuse a config that is wrong in something that shows without torch.

    Raises:
        ConfigError: with every such problem.
    """
    if problems := check_early(config).problems:
        raise ConfigError(problems)


def check_early(config: DictConfig) -> Early:
    """Check a composed config as far as that needs no torch.

    Raises:
        ConfigError: with every structural problem, which makes deeper checks impossible.
    """
    plain = plain_values(config)
    problems = [*run_problems(plain), *node_problems("data", plain["data"])]
    wrong = {"data"} if any(line.startswith("data.") for line in problems) else set()
    recipes = recipes_of(plain, problems)
    for path, part, value in parts_of(plain, recipes):
        if found := [*part_problems(path, part, value)]:
            wrong.add(path)
            problems += found
    return Early(plain, told_once(problems), frozenset(wrong))


def part_problems(path: str, part: str, value: Any) -> Iterator[str]:
    """Yield what is wrong with the `part` of a recipe that the user calls `path`, where that shows without torch."""
    if part == "control" and value is None:
        return
    if part in VALUES:
        yield from VALUES[part](path, value)
    elif not (isinstance(value, dict) and "_target_" in value):
        group = "model" if part == "net" else part
        yield (
            f"{path}={shown(value)}: must be a mapping with a _target_; "
            f"an option of the group {group} is chosen by {group}@{path}=OPTION"
        )
    elif part in CALLED_LATER and value.get("_partial_") is not True:
        yield f"{path}._partial_={shown(value.get('_partial_'))}: must be true, since {CALLED_LATER[part]}"
    else:
        check = CHECKED_BY.get(part, node_problems)
        wrong = positive(f"{path}.lr", value["lr"]) if part == "optimizer" and "lr" in value else []
        yield from wrong
        yield from (line for line in check(path, value) if not (wrong and line.startswith(f"{path}.lr=")))


def _patience_problems(path: str, value: Any) -> Iterator[str]:
    yield from () if value is None else integer(path, value)


def _held_out_problems(path: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list | None):
        yield f"{path}={shown(value)}: must be a list, such as [{shown(value)}]"


def _checkpoint_problems(path: str, value: Any) -> Iterator[str]:
    if value is not None and not _is_file(value):
        yield f"{path}={shown(value)}: no such file; a state_dict saved by torch.save, or .safetensors, is needed"


def _logits_problems(path: str, value: Any) -> Iterator[str]:
    if value is not None and not (_is_file(value) and value.endswith(LOGITS)):
        yield f"{path}={shown(value)}: no such file; one of logits is needed, {', '.join(LOGITS)}"


def _is_file(value: Any) -> bool:
    try:
        return isinstance(value, str) and Path(value).expanduser().is_file()
    except OSError:  # a name too long for a file, for example
        return False


# Files of logits: by the order of the samples, and by the names of image files.
LOGITS = (".npy", ".safetensors", ".csv", ".parquet")
# Parts that Hydra prepares, and that get their first arguments when a fit begins.
CALLED_LATER = {"optimizer": "it gets the network's weights", "schedule": "it gets optimizer and number of steps"}
# Parts with keys that are no arguments of their class.
CHECKED_BY = {"net": network_problems, "optimizer": optimizer_problems}
# Parts of a recipe that are plain values; all others are built.
VALUES: dict[str, Callable[[str, Any], Any]] = {
    "max_epochs": integer,
    "batch_size": lambda path, value: () if value is None else integer(path, value),
    "seed": lambda path, value: integer(path, value, least=0),
    "teacher": lambda path, value: (),  # checked with the graph of fits
    "start": lambda path, value: (),  # so is this
    "patience": _patience_problems,
    "targets": lambda path, value: choice(path, value, tuple(TARGETS)),
    "held_out_classes": _held_out_problems,
    "checkpoint": _checkpoint_problems,
    "logits": _logits_problems,
    "new_head": lambda path, value: () if value is None else boolean(path, value),
}
