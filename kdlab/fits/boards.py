"""A fit's TensorBoard files: its curve, its config, and its hyperparameters with what they led to."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from kdlab.config.experiment import StudentRecipe
from kdlab.curves import Point
from kdlab.fits.plan import Plan
from kdlab.results import Results

Value = str | int | float | bool
HPARAMS = ".hparams"
WHOLE = ".whole"


def replay(curve: Sequence[Point], board: Path) -> None:
    """Write the curve of a finished fit as training would have written it, unless it is there already."""
    if (board / WHOLE).exists():
        return
    shutil.rmtree(board, ignore_errors=True)
    with SummaryWriter(str(board)) as writer:
        for epoch, figure, value in curve:
            writer.add_scalar(figure, value, epoch)
    mark_whole(board)


def mark_whole(board: Path) -> None:
    """Mark the folder as one that holds a fit's whole curve."""
    board.mkdir(parents=True, exist_ok=True)
    (board / WHOLE).touch()


def hyperparameters(plan: Plan, results: Results) -> dict[str, Value]:
    """Return the settings that distinguish fits: the loss's numbers (temperature, alpha), lr, held-out classes, ..."""
    recipe = plan.recipe
    described: dict[str, Value] = {
        "experiment": results.experiment, "dataset": results.dataset, "arm": plan.name, "seed": recipe.seed,
        "held_out_classes": ", ".join(map(results.class_name, recipe.held_out_classes)) or "none",
    }  # fmt: skip
    if plan.given:
        return described
    described |= {"lr": recipe.optimizer.get("lr", "default"), "epochs": recipe.max_epochs}
    described |= {"batch_size": plan.data.batch_size, "targets": "truth"}
    if isinstance(recipe, StudentRecipe):
        described |= {"targets": recipe.targets}
        described |= {key: value for key, value in recipe.loss.items() if isinstance(value, int | float)}
    return described


def outcome(arm: str, results: Results) -> dict[str, float]:
    """Return an arm's accuracy and errors on `results.shown_split`, before any correction."""
    split = results.shown_split
    found = {
        f"{split}/{metric}{'' if classes == 'all' else '_' + classes}": results.find(arm, classes, metric, split=split)
        for classes in ("all", "unseen")
        for metric in ("accuracy", "errors")
    }
    return {name: row.value for name, row in found.items() if row}


def log_outcome(board: Path, hyperparameters: Mapping[str, Value], metrics: Mapping[str, float], config: str) -> None:
    """Write the fit's line of the HParams tab and its config as text beside its curve; replace earlier ones.

    Without a list of columns TensorBoard makes one from all lines. It would take a list from the first line that it
    finds, and a baseline's has no temperature.
    """
    for earlier in board.glob(f"*{HPARAMS}"):
        earlier.unlink()
    _, *session = hparams(dict(hyperparameters), dict(metrics))
    with SummaryWriter(str(board), filename_suffix=HPARAMS) as writer:
        for summary in session:
            writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            writer.add_scalar(name, value)
        writer.add_text("config", as_code(config))


def as_code(text: str) -> str:
    """Return Markdown that shows the text unchanged."""
    return f"```\n{text}\n```"
