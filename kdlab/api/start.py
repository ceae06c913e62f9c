"""Start an experiment or a sweep from Python, or open a finished one."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hydra import compose, initialize_config_dir

from kdlab import pipeline
from kdlab.api.finished import FinishedRun, FinishedSweep
from kdlab.config.compose import CONFIGS, ComposedConfig, experiments, sweep_id
from kdlab.config.refusal import composition_problem
from kdlab.config.seeds import KEY as SEEDS
from kdlab.config.seeds import MULTIRUN, written_out
from kdlab.config.structure import plain_values
from kdlab.errors import ConfigError, KdlabError
from kdlab.results import read

STAMP = "%Y-%m-%d_%H-%M-%S-%f"


def run(
    experiment: str | None = None,
    *overrides: str,
    folder: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
) -> FinishedRun:
    """Run one experiment in this process, as `python -m kdlab.train +experiment=…` does.

    Args:
        experiment: the name of an experiment; None to describe all of it by overrides.
        *overrides: as on the command line: `"loss.temperature=4"`, `"data=digits"`, `"+arms.hot.loss.temperature=40"`.
        folder: the run's folder; None for a new one, `outputs/<name>/<time>`.
        config_dir: a folder of your own configs, as `--config-dir`.

    Raises:
        ConfigError: when the config is wrong; nothing has been written or trained.
        KdlabError: when data, weights or the store cannot be used, or a fit diverges.
    """
    words = _words(experiment, overrides)
    if any(word.startswith(f"{SEEDS}=") for word in words):
        raise ConfigError([f"{SEEDS}: a run has one seed; kdlab.sweep runs several"])
    config = _composed(words, config_dir)
    target = (
        Path(folder) if folder else Path("outputs", str(plain_values(config)["name"]), datetime.now().strftime(STAMP))
    )
    own_configs = ["--config-dir", str(config_dir)] if config_dir else []
    command = shlex.join(["python", "-m", "kdlab.train", *own_configs, *words])
    with _progress_shown():
        ended = pipeline.run(config, target, command=command)
    return FinishedRun(ended.results, target)


def sweep(
    experiment: str | None = None, *overrides: str, config_dir: str | os.PathLike[str] | None = None
) -> FinishedSweep:
    """Run a grid, as `python -m kdlab.train -m +experiment=…` does: in processes side by side, resumed if interrupted.

    Args:
        experiment: the name of an experiment.
        *overrides: as on the command line; `"loss.temperature=1,4,20"` sweeps a key, `"seeds=5"` the seeds 0 to 4.
        config_dir: a folder of your own configs, as `--config-dir`.

    Raises:
        ConfigError: when the config cannot be composed, or the seeds are none.
        KdlabError: when the sweep was stopped before it had a single result.
    """
    words = [word for word in written_out(_words(experiment, overrides)) if word not in MULTIRUN]
    own_configs = ["--config-dir", str(config_dir)] if config_dir else []
    arguments = [*own_configs, "-m", *words]
    name = _composed([word for word in words if "," not in word], config_dir).name
    target = Path("outputs", str(name), f"sweep_{sweep_id(tuple(arguments))}")
    with subprocess.Popen(
        [sys.executable, "-m", "kdlab.train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
    found = FinishedSweep(target) if target.is_dir() else None
    if found is None or not found.runs:
        raise KdlabError(f"the sweep has no results; see what it printed, or {target}")
    return found


def load(folder: str | os.PathLike[str]) -> FinishedRun:
    """Open a finished run: its rows, its page and its networks, without the data that it was trained on.

    Raises:
        KdlabError: when the folder holds no finished run.
    """
    path = Path(folder)
    if not (path / "results.json").exists():
        raise KdlabError(f"{path} holds no finished run: it has no results.json (of a sweep, give one of its points)")
    return FinishedRun(read(path / "results.json"), path)


def _words(experiment: str | None, overrides: tuple[str, ...]) -> list[str]:
    if experiment is not None and "=" in experiment:
        raise ConfigError(
            [f"{experiment}: the first argument names an experiment; there are {', '.join(experiments())}"]
        )
    return [*([f"+experiment={experiment}"] if experiment else []), *overrides]


def _composed(words: list[str], config_dir: str | os.PathLike[str] | None) -> ComposedConfig:
    own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose("train", [*words, *own])
    except Exception as error:
        if (problem := composition_problem(error, words)) is None:
            raise
        raise ConfigError([*problem.split("\n"), f"experiments: {', '.join(experiments())}"]) from error


@contextmanager
def _progress_shown() -> Iterator[None]:
    """Show kdlab's messages while the block runs, unless the caller has set up logging."""
    logger = logging.getLogger("kdlab")
    if logger.hasHandlers():
        yield
        return
    handler, level = logging.StreamHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
