"""What may be wrong with a config apart from its recipes: names, device, store, evaluation, comparison."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdlab import hardware
from kdlab.config.comparison import comparison_problems
from kdlab.config.recipes import Plain
from kdlab.limits import NAME, NAME_RULE, boolean, shown
from kdlab.results import SPLITS


def run_problems(config: Plain, *, in_sweep: bool) -> list[str]:
    """Return a line for each problem; `in_sweep` says whether the config is that of one point of a sweep."""
    return [
        *_evaluation_problems(config),
        *comparison_problems(config["comparison"], config),
        *_name_problems(config),
        *_device_problems(config, in_sweep),
        *_store_problems(config["store"]),
    ]


def _evaluation_problems(config: Plain) -> Iterator[str]:
    evaluation: Any = config["evaluation"]
    splits = evaluation["splits"]
    known = isinstance(splits, list) and all(split in SPLITS for split in splits)
    if splits is None:
        pass
    elif not known or not splits or len(set(splits)) < len(splits):
        yield f"evaluation.splits={splits}: must be null, or a list of one or more of {', '.join(SPLITS)}"
    elif "val" in splits and config["data"].get("val_size") == 0:
        yield f"evaluation.splits={splits}: there is no validation part, since data.val_size=0"
    yield from boolean("evaluation.cost", evaluation["cost"])
    if evaluation["prior_offsets"] not in ("per_class", "shared"):
        yield f"evaluation.prior_offsets={evaluation['prior_offsets']}: must be per_class or shared"


def _name_problems(config: Plain) -> Iterator[str]:
    name, question = config["name"], config["question"]
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"name={shown(name)}: names a folder; allowed are {NAME_RULE}"
    if not isinstance(question, str | None):
        yield f"question={question}: must be a text, or null"
    if config["figures"] not in (None, True, False):
        yield f"figures={config['figures']}: must be true, false or null"
    if not config["arms"]:
        yield "arms: there is none; choose an experiment (+experiment=dark_knowledge) or add one (+arms.distilled={})"


def _device_problems(config: Plain, in_sweep: bool) -> Iterator[str]:
    trainer, batch_size = config["trainer"], config["data"].get("batch_size", 1)
    try:
        devices = hardware.choose(**trainer).devices
    except ValueError as error:
        yield from (f"trainer.{line}" for line in str(error).split("\n"))
        return
    if devices > 1 and in_sweep:
        yield (
            f"trainer.devices={devices}: a sweep gives each of its jobs one device; leave out -m to spread one fit "
            "over several, or leave trainer.devices=1 and let the jobs run side by side (hydra.launcher.slots)"
        )
    if isinstance(batch_size, int) and batch_size % devices:
        yield f"data.batch_size={batch_size}: must be a multiple of trainer.devices={devices}, which share each batch"


def _store_problems(store: Plain) -> Iterator[str]:
    folder = store["folder"]
    if not (folder is None or (isinstance(folder, str) and folder)):
        yield f"store.folder={folder}: must be a folder, or null to keep nothing"
    elif folder is not None and Path(folder).expanduser().is_file():
        yield f"store.folder={folder}: is a file; a folder is needed"
    yield from boolean("store.refresh", store["refresh"])
