"""Sweeps of results.json files made on the spot."""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kdlab.report import collect, write_report
from kdlab.results import Fit, Results, Row, write
from tests.commands import Commands

MakeRun = Callable[..., Path]
OVER_SEEDS = (
    "-m", "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_30",
    "model@student.net=mlp_30", "teacher.max_epochs=2", "student.max_epochs=2", "hydra.launcher.slots=1",
)  # fmt: skip


def results(temperature: float, alpha: float, lr: float, seed: int, *, accuracy: float, val: float) -> Results:
    """Return what a run could have found; only the distilled student depends on temperature and alpha."""
    loss = {"_target_": "Loss", "temperature": temperature, "alpha": alpha}
    config: dict[str, Any] = {
        "name": "x", "seed": seed, "loss": loss, "optimizer": {"lr": lr},
        "student": {"loss": loss, "seed": seed, "optimizer": {"lr": lr}, "net": {"widths": [30]}},
        "store": {"folder": f"store{seed}", "refresh": False},
    }  # fmt: skip
    keys = {"teacher": f"t{seed}", "baseline": f"b{lr}{seed}", "distilled": f"d{temperature}{alpha}{lr}{seed}"}
    fits = [Fit(arm, key, False, 1, 1.0, 1) for arm, key in keys.items()]
    rows = []
    for arm, value in {"teacher": 0.99, "baseline": 0.8 + lr, "distilled": accuracy}.items():
        for classes, n in (("all", 1000), ("seen", 900), ("unseen", 100)):
            for correction in ("none",) if arm == "teacher" else ("none", "prior", "oracle"):
                rows.append(Row(arm, "test", classes, correction, "accuracy", value, n))
                rows.append(Row(arm, "test", classes, correction, "errors", round(n * (1 - value)), n))
        for classes in ("all", "seen"):
            own = val if arm == "distilled" else 0.5
            rows.append(Row(arm, "val", classes, "none", "accuracy", own if classes == "seen" else 1 - own, 100))
            rows.append(Row(arm, "val", classes, "none", "nll", 0.1, 100))
            if arm != "teacher":  # a correction gives up seen classes: by it, another setting would be the best
                rows.append(Row(arm, "val", classes, "prior", "accuracy", 5 * (1 - own) - 1 if own > 0.5 else 0.4, 100))
    return Results("x", "digits", seed, [3], config, {}, fits, rows)


def write_run(sweep: Path, number: int, *arguments: Any, **keywords: Any) -> Path:
    """Write a run of a sweep into `sweep/<number>`."""
    folder = sweep / str(number)
    (folder / ".hydra").mkdir(parents=True)
    temperature, *_, seed = arguments
    (folder / ".hydra" / "overrides.yaml").write_text(f"- loss.temperature={temperature}\n- seed={seed}\n")
    write(results(*arguments, **keywords), folder / "results.json")
    return folder


def write_grid(sweep: Path) -> Path:
    """T in 1, 4, 20 × alpha in 0.5, 0.9 × lr in 0.01, 0.1 × two seeds: 24 points."""
    for number, (temperature, alpha, lr, seed) in enumerate(product((1, 4, 20), (0.5, 0.9), (0.01, 0.1), (0, 1))):
        accuracy = 0.9 + 0.001 * temperature + 0.02 * seed - 0.05 * alpha
        val = 0.7 if (temperature, alpha, lr) == (4, 0.9, 0.1) else 0.6 + 0.001 * seed
        write_run(sweep, number, temperature, alpha, lr, seed, accuracy=accuracy, val=val)
    return sweep


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run of a sweep into `tmp_path/sweep/<number>`."""
    return partial(write_run, tmp_path / "sweep")


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """The points of a sweep, to be changed."""
    return write_grid(tmp_path / "sweep")


@pytest.fixture(scope="module")
def reported_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with their report, not to be changed."""
    sweep = write_grid(tmp_path_factory.mktemp("reported") / "sweep")
    write_report(collect([sweep]), sweep)
    return sweep


@pytest.fixture(scope="session")
def seeds_swept(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep over two seeds, not to be changed."""
    folder = tmp_path_factory.mktemp("over_seeds")
    done = commands.run(*OVER_SEEDS, "seed=3,4", folder=folder)
    assert done.returncode == 0, done.stderr
    return next(folder.rglob("multirun.yaml")).parent
