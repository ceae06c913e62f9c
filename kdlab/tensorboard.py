"""TensorBoard's event files: of a fit its curves and hyperparameters, with what they led to; of a run its figures."""

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from kdlab.curves import Point
from kdlab.plan import Plan
from kdlab.results import Results

Value = str | int | float | bool
HPARAMS = "hparams"
WHOLE = ".whole"
# The Custom Scalars tab: each chart overlays all fits. What a fit logs is listed in `kdlab.modules.trained`.
LAYOUT = {
    "accuracy": {
        "validation, seen classes": ["Multiline", ["^val/accuracy_seen$"]],
        "validation, unseen classes": ["Multiline", ["^val/accuracy_unseen$"]],
        "training": ["Multiline", ["^train/accuracy$"]],
    },
    "loss": {
        "with the labels, validation": ["Multiline", ["^val/loss$"]],
        "with the labels, training": ["Multiline", ["^train/hard_loss$"]],
        "with the soft targets, training": ["Multiline", ["^train/soft_loss$"]],
        "what is minimized, training": ["Multiline", ["^train/loss$"]],
    },
    "training": {
        "learning rate": ["Multiline", ["^train/learning_rate$"]],
        "samples per second": ["Multiline", ["^train/samples_per_second$"]],
    },
}


def replay(curve: Sequence[Point], board: Path) -> None:
    """Write the curve of a finished fit as it was written while it was trained, unless it is there."""
    if (board / WHOLE).exists():
        return
    shutil.rmtree(board, ignore_errors=True)
    with SummaryWriter(str(board)) as writer:
        for epoch, figure, value in curve:
            writer.add_scalar(figure, value, epoch)
    mark_whole(board)


def mark_whole(board: Path) -> None:
    """Note that the folder has all of a fit's curve."""
    board.mkdir(parents=True, exist_ok=True)
    (board / WHOLE).touch()


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
    """Return what the arm came to on `results.shown_split`, before any correction."""
    split = results.shown_split
    found = {
        f"{split}/{metric}{'' if classes == 'all' else '_' + classes}": results.find(arm, classes, metric, split=split)
        for classes in ("all", "unseen")
        for metric in ("accuracy", "errors")
    }
    return {name: row.value for name, row in found.items() if row}


def log_outcome(board: Path, hyperparameters: Mapping[str, Value], metrics: Mapping[str, float], config: str) -> None:
    """Write the fit's line of the HParams tab, and its config as text, in the place of earlier ones.

    The line alone, without the list of columns that TensorBoard would take from the first line it finds: it makes that
    list itself, from all lines, and a baseline has no temperature.
    """
    shutil.rmtree(board / HPARAMS, ignore_errors=True)
    _, *session = hparams(dict(hyperparameters), dict(metrics))
    with SummaryWriter(str(board / HPARAMS)) as writer:
        for summary in session:
            writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            writer.add_scalar(name, value)
        writer.add_text("config", code(config))


def log_overview(board: Path, texts: Mapping[str, str], figures: Mapping[str, bytes]) -> None:
    """Write what belongs to no single fit, in the place of what was there: texts, figures, the layout of charts.

    Args:
        board: the folder above those of the fits.
        texts: by name, as Markdown.
        figures: PNG files by name.
    """
    board.mkdir(parents=True, exist_ok=True)
    for old in board.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(board)) as writer:
        writer.add_custom_scalars(LAYOUT)
        for name, text in texts.items():
            writer.add_text(name, text)
        for name, png in figures.items():
            width, height = Image.open(io.BytesIO(png)).size
            image = Summary.Image(encoded_image_string=png, width=width, height=height, colorspace=4)
            writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=f"figures/{name}", image=image)]))


def code(text: str) -> str:
    """Return a text, in Markdown, that is shown as it is."""
    return f"```\n{text}\n```"
