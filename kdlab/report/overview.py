"""TensorBoard's overview of a run or a sweep: texts, figures, and the layout of the charts over all fits."""

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

# The Custom Scalars tab: each chart shows all fits. `kdlab.modules.trained` lists the tags that a fit logs.
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
        "minimized, training": ["Multiline", ["^train/loss$"]],
    },
    "training": {
        "learning rate": ["Multiline", ["^train/learning_rate$"]],
        "samples per second": ["Multiline", ["^train/samples_per_second$"]],
    },
}


def log_overview(board: Path, texts: Mapping[str, str], figures: Mapping[str, bytes]) -> None:
    """Write texts, figures and the layout of the charts; replace those of an earlier report.

    Args:
        board: the folder above the fits' folders.
        texts: Markdown by name.
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
