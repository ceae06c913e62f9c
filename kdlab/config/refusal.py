"""Refusals before anything is written: of what Hydra cannot compose, and of a wrong config. Imports torch late."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.config.checks import folder_problem, name_problems
from kdlab.config.compose import CONFIGS
from kdlab.config.early import refuse_early
from kdlab.errors import ConfigError, KdlabError
from kdlab.files import full_disk
from kdlab.limits import shown

FULL = "HYDRA_FULL_ERROR"
# Where an error comes from that is about what was typed, if not from kdlab or the user's code.
COMPOSERS = ("hydra", "omegaconf", "antlr4", "yaml")
QUOTES = (
    "a text with brackets, quotes, commas or letters beyond ASCII needs quotes inside of the shell's: "
    """'data.held_out_classes=["Äpfel (rot)"]'"""
)

log = logging.getLogger(__name__)


class Refusal(Callback):
    """Refuses a wrong config before Hydra makes the run's folder: what shows without torch first, then the rest."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the config of a single run."""
        own = without_hydra(config)
        with _exit_on_error():
            refuse_early(own)
            _refuse_folder("hydra.run.dir", config.hydra.run.dir)
            from kdlab.config.read import read  # imports torch

            read(own)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check where a sweep would be written; its points are checked one by one."""
        with _exit_on_error():
            given: Any = OmegaConf.to_container(config)
            if problems := [*name_problems(given.get("name"))]:
                raise ConfigError(problems)
            _refuse_folder("hydra.sweep.dir", config.hydra.sweep.dir)


def without_hydra(config: DictConfig) -> DictConfig:
    """Return the config without Hydra's own part."""
    keys: Any = [key for key in config if key != "hydra"]
    return OmegaConf.masked_copy(config, keys)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """End the program where the config is refused; Hydra would turn any other exception into a warning."""
    try:
        yield
    except KdlabError as error:
        log.error("%s", error)
        sys.exit(1)


def _refuse_folder(key: str, folder: str) -> None:
    if problem := folder_problem(Path(folder)):
        raise ConfigError([f"{key}={shown(folder)}: {problem}"])


@contextmanager
def composition_errors() -> Iterator[None]:
    """Turn what Hydra raises over a command line, or a refusal of it, into one message and exit status 1.

    With the variable HYDRA_FULL_ERROR=1 all is shown, as Hydra does.
    """
    if os.environ.get(FULL) == "1":
        yield
        return
    os.environ[FULL] = "1"  # Hydra raises what it would print
    try:
        yield
    except ConfigError as error:
        sys.exit(str(error))
    except Exception as error:
        if (message := composition_problem(error, sys.argv[1:])) is None:
            raise
        sys.exit(message)
    finally:
        os.environ.pop(FULL, None)


def composition_problem(error: Exception, arguments: list[str]) -> str | None:
    """Return what is wrong with a command line, or with the disk, where an error says so; None for any other error."""
    told = str(error).split("\nConfig search path:")[0].strip() or type(error).__name__
    if isinstance(error, OverrideParseException):
        return "\n".join([told.split("\nSee https")[0], QUOTES])
    if full := full_disk(error):
        return f"the run's folder: {full}; make room, and the same command goes on"
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return f"{shown(error.filename)}: {error.strerror}" if error.filename else told
    no_option = next(filter(None, map(_no_option, arguments)), None)
    if isinstance(error, HydraException | OmegaConfBaseException):
        if no_option and "resolving interpolation" in told:
            return no_option
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
        return "\n".join([told, *([str(cause).split("\n")[0]] if cause and str(cause) not in told else [])])
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    if not any(name in Path(innermost).parts for name in COMPOSERS):
        return None
    return no_option or f"Hydra cannot compose {' '.join(arguments)}: {told.splitlines()[0]}"


def _no_option(argument: str) -> str | None:
    """Return what is wrong with an argument that gives a group something else than a name, such as `data=null`."""
    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
    except HydraException:
        return None
    group = override.key_or_group
    options = sorted(file.stem for file in (CONFIGS / group).glob("*.yaml")) if group else []
    if not options or override.is_delete() or (isinstance(value := override.value(), str) and "${" not in value):
        return None
    return f"{argument}: {group} is a group of the config; give one of its options: {', '.join(options)}"
