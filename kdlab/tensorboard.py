"""TensorBoard's event files of one fit: its curves, and its hyperparameters with what they led to."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from kdlab.curves import Point
from kdlab.plan import Plan
from kdlab.results import Results

Value = str | int | float | bool
EVENTS = "events.out.tfevents.*"
HPARAMS = "hparams"


def has_curves(board: Path) -> bool:
    """Return whether the folder has event files."""
    return any(board.glob(EVENTS))


def replay(curve: Sequence[Point], board: Path) -> None:
    """Write the curve of a finished fit, as it was written while it was trained."""
    with SummaryWriter(str(board)) as writer:
        for epoch, figure, value in curve:
            writer.add_scalar(figure, value, epoch)


def hyperparameters(plan: Plan, results: Results) -> dict[str, Value]:
    """Return what tells this fit from others: the loss's numbers (temperature, alpha), lr, seed, and the like."""
    recipe = plan.recipe
    described: dict[str, Value] = {
        "experiment": results.experiment, "dataset": results.dataset, "arm": plan.arm, "seed": recipe["seed"],
    }  # fmt: skip
    if plan.loaded:
        return described
    described |= {"lr": recipe["optimizer"].get("lr", "default"), "epochs": recipe["max_epochs"]}
    described |= {"batch_size": plan.data.batch_size, "targets": recipe.get("targets", "truth")}
    loss = recipe.get("loss", {})
    return described | {key: value for key, value in loss.items() if isinstance(value, int | float)}


def outcome(arm: str, results: Results) -> dict[str, float]:
    """Return what the arm came to on the test set, before any correction; nothing where it was left alone."""
    found = {
        f"test/{metric}{'' if classes == 'all' else '_' + classes}": results.find(arm, classes, metric)
        for classes in ("all", "unseen")
        for metric in ("accuracy", "errors")
    }
    return {name: row.value for name, row in found.items() if row}


def log_outcome(board: Path, hyperparameters: Mapping[str, Value], metrics: Mapping[str, float]) -> None:
    """Write one line of the HParams tab, once: a folder that has its line is left alone."""
    if (board / HPARAMS).exists():
        return
    with warnings.catch_warnings(), SummaryWriter(str(board)) as writer:
        warnings.simplefilter("ignore", DeprecationWarning)  # TensorBoard's own
        writer.add_hparams(dict(hyperparameters), dict(metrics), run_name=HPARAMS)
