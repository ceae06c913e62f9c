"""From a plan to a trained network: out of the store, or by a fit that the store then keeps."""

import logging
import math
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from torch import nn

from kdlab import checkpoints
from kdlab.bench import Bench, Trained
from kdlab.curves import read_curve, write_curve
from kdlab.fit import Fitted, fit
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher, Teacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.plan import Plan
from kdlab.recipes import objective
from kdlab.results import Fit
from kdlab.store import Entry
from kdlab.tensorboard import mark_whole, replay
from kdlab.whole_files import write_json

log = logging.getLogger(__name__)


def obtain(plan: Plan, bench: Bench, teacher: Trained | None) -> Trained:
    """Return the planned fit: loaded, reused, or trained, and then kept.

    Args:
        plan: of the fit.
        bench: what all fits of the run share.
        teacher: of a student; None for the teacher itself.

    Raises:
        Diverged: when its loss is no longer finite.
        StoreError: when the store cannot be written to.
    """
    if plan.loaded:
        log.info("%s: weights of %s, content key %s", plan.arm, plan.recipe["checkpoint"], plan.key)
        checkpoints.save(plan.net, _weights_of_run(plan, bench))
        return _trained(plan, bench, Fitted(plan.net, 0, 0.0, []), reused=True)
    if bench.store is None:
        fitted = _train(plan, bench, teacher, resume=None)
        checkpoints.save(fitted.net, _weights_of_run(plan, bench))
        return _trained(plan, bench, fitted, reused=False)
    with bench.store.locked(plan.key, plan.arm):
        entry = bench.store.find(plan.key)
        if entry:
            fitted = _reuse(plan, bench, entry)
        else:
            fitted = _train(plan, bench, teacher, resume=bench.store.checkpoint(plan.key))
            _keep(plan, fitted, bench)
        checkpoints.link(bench.store.entry(plan.key).weights, _weights_of_run(plan, bench))
    return _trained(plan, bench, fitted, reused=entry is not None)


def _reuse(plan: Plan, bench: Bench, entry: Entry) -> Fitted:
    log.info("%s: reused, content key %s", plan.arm, plan.key)
    checkpoints.load(plan.net, entry.weights)
    metrics, curve = entry.metrics(), read_curve(entry.curve)
    replay(curve, bench.board(plan.arm, plan.key))
    return Fitted(plan.net.eval(), metrics["epochs"], metrics["seconds"], curve)


def _train(plan: Plan, bench: Bench, teacher: Trained | None, resume: Path | None) -> Fitted:
    log.info("%s: training on %d samples, content key %s", plan.arm, len(plan.data.train_ids), plan.key)
    board, goes_on = bench.board(plan.arm, plan.key), resume is not None and resume.exists()
    fitted = fit(
        plan.arm,
        _module(plan, bench, teacher),
        plan.data,
        max_epochs=plan.recipe["max_epochs"],
        patience=plan.recipe["patience"],
        seed=plan.seed,
        hardware=bench.hardware,
        board=board,
        checkpoint=resume,
    )
    if goes_on:  # else its files have the curve already, and not only from where it went on
        replay(fitted.curve, board)
    else:
        mark_whole(board)
    return fitted


def _keep(plan: Plan, fitted: Fitted, bench: Bench) -> None:
    assert bench.store
    last = {figure: value for _, figure, value in fitted.curve if math.isfinite(value)}
    metrics = {
        "arm": plan.arm,
        "dataset": bench.data.name,
        "epochs": fitted.epochs,
        "seconds": fitted.seconds,
        "parameters": _parameters(fitted.net),
        "last": last,
    }
    with bench.store.writing(plan.key) as folder:
        checkpoints.save(fitted.net, folder / "weights.pt")
        write_json(plan.contents, folder / "config.json")
        write_json(metrics, folder / "metrics.json")
        write_curve(fitted.curve, folder / "curves.csv")


def _module(plan: Plan, bench: Bench, teacher: Trained | None) -> TrainedNetwork:
    """Build what is trained: a student with the targets that its recipe names, or the teacher itself."""
    optimization: dict[str, Any] = {
        part: instantiate(plan.recipe[part], _convert_="all") for part in ("optimizer", "schedule")
    }
    log.info("%s: minimizes %s", plan.arm, objective(plan.recipe))
    if teacher is None:
        return Classifier(plan.net, **optimization)
    source = _source_of_targets(plan, bench, teacher)
    if source and plan.recipe["targets"].endswith("_soft"):
        loss = instantiate(plan.recipe["loss"], _convert_="all")
        return Distilled(plan.net, loss=loss, teacher=source, **optimization)
    return Classifier(plan.net, teacher=source, **optimization)


def _source_of_targets(plan: Plan, bench: Bench, teacher: Trained) -> Teacher | None:
    """Return what gives a student its targets: the teacher, or the Bayes rule of the data; None for the labels.

    Its logits are looked up where the inputs never change, and asked for each time where they are augmented.
    """
    targets = plan.recipe["targets"]
    if targets == "truth":
        return None
    bayes_rule = bench.data.bayes_rule if targets.startswith("bayes") else None
    if not isinstance(plan.data.augment, nn.Identity):
        return LiveTeacher(bayes_rule or teacher.net)
    if bayes_rule:
        return CachedTeacher(bench.logits(bayes_rule, bench.data.train.inputs))
    return CachedTeacher(teacher.train_logits)


def _weights_of_run(plan: Plan, bench: Bench) -> Path:
    return bench.folder / "checkpoints" / f"{plan.arm}.pt"


def _trained(plan: Plan, bench: Bench, fitted: Fitted, *, reused: bool) -> Trained:
    record = Fit(plan.arm, plan.key, reused, fitted.epochs, fitted.seconds, _parameters(fitted.net))
    return Trained(fitted.net, record, bench, fitted.curve, plan.held_out)


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
