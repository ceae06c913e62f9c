"""A fit's TensorBoard files: its curve, its config, and its hyperparameters with what they led to."""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, scalar, text

from kdlab.config.compose import as_yaml
from kdlab.config.experiment import StudentRecipe
from kdlab.curves import Point
from kdlab.files import whole
from kdlab.fits.plan import Plan
from kdlab.hashing import short_hash
from kdlab.results import Results

Value = str | int | float | bool
HPARAMS = ".hparams"
WHOLE = ".whole"


def replay(curve: Sequence[Point], board: Path) -> None:
    """Write the curve of a finished fit as training would have written it, unless it is there already."""
    if (board / WHOLE).exists():
        return
    shutil.rmtree(board, ignore_errors=True)
    _write(board, "replayed", [(scalar(figure, value), epoch) for epoch, figure, value in curve])
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


def log_outcome(
    board: Path, hyperparameters: Mapping[str, Value], metrics: Mapping[str, float], config: Mapping[str, Any]
) -> None:
    """Write the fit's line of the HParams tab and its config as text beside its curve; replace others.

    Without a list of columns TensorBoard makes one from all lines. It would take a list from the first line that it
    finds, and a baseline's has no temperature.
    """
    name = f"{short_hash([hyperparameters, metrics, config])}{HPARAMS}"
    earlier = [*board.glob(f"*{HPARAMS}*")]
    if len(earlier) == 1 and earlier[0].name.endswith(name):  # by another point of the sweep
        return
    for path in earlier:
        path.unlink()
    _, *session = hparams(dict(hyperparameters), dict(metrics))
    session += [scalar(metric, value) for metric, value in metrics.items()]
    session.append(text("config", as_code(as_yaml(config))))
    _write(board, name, [(summary, None) for summary in session])


def _write(board: Path, name: str, summaries: Iterable[tuple[Summary, int | None]]) -> None:
    """Write summaries with their steps as one event file, at once: a writer of TensorBoard's starts a thread."""
    board.mkdir(parents=True, exist_ok=True)
    now = time.time()
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    events += [Event(wall_time=now, step=step, summary=summary) for summary, step in summaries]
    with whole(board / f"events.out.tfevents.{now:.0f}.{name}", sync=False) as scratch, scratch.open("wb") as file:
        for event in events:
            RecordWriter(file).write(event.SerializeToString())


def as_code(text: str) -> str:
    """Return Markdown that shows the text unchanged."""
    return f"```\n{text}\n```"
