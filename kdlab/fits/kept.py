"""A finished fit: its record, and its entry in the store, written whole and found again."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from safetensors.torch import save_file

from kdlab.curves import Point, write_curve
from kdlab.files import write_json
from kdlab.fits import weights
from kdlab.fits.fit import Took
from kdlab.fits.measured import Logits
from kdlab.fits.plan import Plan
from kdlab.fits.trained import Trained
from kdlab.fits.weights import CheckpointError
from kdlab.hashing import short_hash
from kdlab.results import Fit
from kdlab.store import Entry, Store, logits_file

# Beside a stack's checkpoint: the keys of its fits.
STACK = "stack.json"


def intact(plan: Plan, store: Store) -> Entry | None:
    """Return the fit's entry, after loading its weights into the plan's network; None if there is no intact one."""
    entry = store.find(plan.key)
    if entry is None:
        return None
    try:
        weights.load(plan.net, entry.weights)
    except CheckpointError as error:  # foreign weights with a checksum
        store.discard(plan.key, str(error))
        return None
    return entry


def keep(plan: Plan, fit: Trained, store: Store, logits: Logits) -> None:
    """Publish a trained fit, with logits for some samples, in the store. The caller holds the lock."""
    metrics = {
        "arm": plan.name,
        "dataset": plan.data.name,
        "epochs": fit.record.epochs,
        "seconds": fit.record.seconds,
        "parameters": fit.record.parameters,
        "stack": fit.record.stack,
        "threads": fit.record.threads,
        "last": {figure: value for _, figure, value in fit.curve if math.isfinite(value)},
    }
    with store.writing(plan.key) as folder:
        weights.save(fit.net, folder / "weights.pt")
        write_json(plan.contents, folder / "config.json")
        write_json(metrics, folder / "metrics.json")
        write_curve(fit.curve, folder / "curves.csv")
        for of, values in logits.items():
            save_file({"logits": values}, folder / logits_file(of))


def note_stack(keys: Sequence[str], checkpoint: Path) -> None:
    """Write down, beside the checkpoint of a stack, which fits it trains, in their order."""
    write_json(list(keys), checkpoint.with_name(STACK))


def interrupted_stacks(store: Store) -> Iterator[list[str]]:
    """Yield the keys of the fits of each stack that was cut off and has a checkpoint to go on from."""
    for folder in store.interrupted():
        with suppress(OSError, ValueError):  # no stack, or one that another process has just finished
            keys = json.loads((folder / STACK).read_text())
            if store.is_cut_off(folder.name) and folder.name == stack_key(keys):
                yield keys


def stack_key(keys: Sequence[str]) -> str:
    """Return the name under which a stack of fits with these keys is kept while it is unfinished."""
    return short_hash(list(keys))


def trained(plan: Plan, curve: Sequence[Point], took: Took, *, reused: bool, stack: int = 1) -> Trained:
    """Return a plan's network, which has been trained, with its record."""
    parameters = sum(p.numel() for p in plan.outline.parameters())
    recipe = plan.recipe
    record = Fit(
        plan.name,
        plan.key,
        reused,
        took.epochs,
        took.seconds,
        parameters,
        targets=recipe.targets,
        teacher=recipe.teacher[0] if recipe.teacher else None,
        stack=stack,
        threads=took.threads,
    )
    return Trained(plan.net.eval(), plan.recipe, record, curve)
