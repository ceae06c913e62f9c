"""Builds a logger from its config, with the names of a fit in its texts."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger

from kdlab.config.experiment import Node

# What a logger's texts may name: the run's experiment, a fit, the name and the path of the run's or sweep's folder.
FIELDS = ("experiment", "fit", "group", "folder")
# Extras of kdlab that bring what these need.
EXTRAS = {"MLFlowLogger": "mlflow", "WandbLogger": "wandb", "Trackio": "trackio"}


def logger_for(node: Node, fields: Mapping[str, str]) -> Logger:
    """Build a logger; `{fit}` and the other `fields` in its texts are filled in.

    Raises:
        TypeError: when the config makes something else than a logger of Lightning's.
        ModuleNotFoundError: when a package is missing, with the command that installs it.
    """
    try:
        made = instantiate(_filled(node, fields), _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ModuleNotFoundError) and (extra := EXTRAS.get(node["_target_"].rpartition(".")[2])):
            raise ModuleNotFoundError(f"a package is missing: pip install 'kdlab[{extra}]'") from error
        raise
    if not isinstance(made, Logger):
        raise TypeError(f"makes a {type(made).__name__}; a logger of lightning.pytorch.loggers is needed")
    return made


def _filled(node: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _filled(value, fields) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, fields) for value in node]
    if isinstance(node, str):
        for name, value in fields.items():
            node = node.replace(f"{{{name}}}", value)
    return node
