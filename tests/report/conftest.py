"""Sweeps of results.json files made on the spot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdlab.results import Fit, Results, Row, write

MakeRun = Callable[..., Path]


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
    return Results("x", "digits", seed, [3], config, {}, fits, rows)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run of a sweep into `tmp_path/sweep/<number>`."""

    def make(number: int, *arguments: Any, **keywords: Any) -> Path:
        folder = tmp_path / "sweep" / str(number)
        (folder / ".hydra").mkdir(parents=True)
        temperature, *_, seed = arguments
        (folder / ".hydra" / "overrides.yaml").write_text(f"- loss.temperature={temperature}\n- seed={seed}\n")
        write(results(*arguments, **keywords), folder / "results.json")
        return folder

    return make


@pytest.fixture
def grid(make_run: MakeRun, tmp_path: Path) -> Path:
    """T in 1, 4, 20 × alpha in 0.5, 0.9 × lr in 0.01, 0.1 × two seeds: 24 points."""
    number = 0
    for temperature in (1, 4, 20):
        for alpha in (0.5, 0.9):
            for lr in (0.01, 0.1):
                for seed in (0, 1):
                    accuracy = 0.9 + 0.001 * temperature + 0.02 * seed - 0.05 * alpha
                    val = 0.7 if (temperature, alpha, lr) == (4, 0.9, 0.1) else 0.6 + 0.001 * seed
                    make_run(number, temperature, alpha, lr, seed, accuracy=accuracy, val=val)
                    number += 1
    return tmp_path / "sweep"
