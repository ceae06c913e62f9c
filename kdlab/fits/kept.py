"""A finished fit: its record, and its entry in the store, written whole and found again."""

import math
from collections.abc import Sequence

from kdlab.curves import Point, write_curve
from kdlab.files import write_json
from kdlab.fits import weights
from kdlab.fits.plan import Plan
from kdlab.fits.trained import Trained
from kdlab.fits.weights import CheckpointError
from kdlab.results import Fit
from kdlab.store import Entry, Store


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


def keep(plan: Plan, fit: Trained, store: Store) -> None:
    """Publish a trained fit in the store. The caller holds the lock."""
    metrics = {
        "arm": plan.name,
        "dataset": plan.data.name,
        "epochs": fit.record.epochs,
        "seconds": fit.record.seconds,
        "parameters": fit.record.parameters,
        "stack": fit.record.stack,
        "last": {figure: value for _, figure, value in fit.curve if math.isfinite(value)},
    }
    with store.writing(plan.key) as folder:
        weights.save(fit.net, folder / "weights.pt")
        write_json(plan.contents, folder / "config.json")
        write_json(metrics, folder / "metrics.json")
        write_curve(fit.curve, folder / "curves.csv")


def trained(
    plan: Plan, curve: Sequence[Point], *, epochs: int, seconds: float, reused: bool, stack: int = 1
) -> Trained:
    """Return a plan's network, which has been trained, with its record."""
    parameters = sum(p.numel() for p in plan.net.parameters())
    recipe = plan.recipe
    record = Fit(
        plan.name,
        plan.key,
        reused,
        epochs,
        seconds,
        parameters,
        targets=recipe.targets,
        teacher=recipe.teacher[0] if recipe.teacher else None,
        stack=stack,
    )
    return Trained(plan.net.eval(), plan.recipe, record, curve)
