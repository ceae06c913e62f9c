"""Trackio as a logger of Lightning's form."""

import io
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.loggers import Logger


class Trackio(Logger):
    """One run of Trackio, which keeps runs in a database on this machine.

    Args:
        project: the project's name.
        name: the run's name.
        group: of runs that belong together.

    Raises:
        ModuleNotFoundError: when Trackio is not installed.
    """

    def __init__(self, project: str, name: str, group: str | None = None) -> None:
        super().__init__()
        self._trackio = import_module("trackio")
        self._project, self._name, self._group = project, name, group
        self._config: dict[str, Any] = {}
        self._run: Any = None

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """The run's name."""
        return self._name

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Note the run's config; must come before the first figure."""
        self._config = dict(params if isinstance(params, Mapping) else vars(params))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures of one step."""
        if self._run is None:
            with redirect_stdout(io.StringIO()):
                self._run = self._trackio.init(
                    project=self._project, name=self._name, group=self._group, config=self._config, embed=False
                )
        self._run.log(metrics, step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run, and wait until it is written."""
        if self._run is not None:
            with redirect_stdout(io.StringIO()):
                self._run.finish()
