"""From plans to trained networks: reused from the store, or trained and then kept there."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.utils import instantiate
from torch import nn

from kdlab.config.experiment import StudentRecipe
from kdlab.curves import Point, read_curve, write_curve
from kdlab.errors import Diverged, KdlabError
from kdlab.files import write_json
from kdlab.fits import weights
from kdlab.fits.boards import mark_whole, replay
from kdlab.fits.context import Context
from kdlab.fits.fit import fit
from kdlab.fits.objective import equation_of, loss_of
from kdlab.fits.plan import Plan
from kdlab.fits.trained import Trained
from kdlab.fits.weights import CheckpointError
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher, Teacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.outcome import stage
from kdlab.results import Fit
from kdlab.store import Entry, Store

log = logging.getLogger(__name__)


def obtain(
    plans: Sequence[Plan], context: Context, earlier: Mapping[str, Trained]
) -> tuple[dict[str, Trained], dict[str, str]]:
    """Return the planned fits by name: loaded, reused, or trained and then kept; and why others failed.

    A fit fails where its training diverges, where the user's own code raises, and where its teacher failed.

    Args:
        plans: of fits whose teachers are in `earlier`, unless they failed.
        context: what all fits of the run share.
        earlier: the finished fits by name.

    Raises:
        DiskFull: when there is no room for a file.
        StoreError: when the store cannot be written to.
    """
    found: dict[str, Trained] = {}
    failed: dict[str, str] = {}
    for plan in plans:
        if lost := [teacher for teacher in plan.recipe.teacher if teacher not in earlier]:
            failed[plan.name] = f"{plan.name}: not trained, since {lost[0]} failed"
            continue
        try:
            with stage(plan.name):
                found[plan.name] = _obtain(plan, context, earlier)
        except Diverged as error:
            failed[plan.name] = str(error)
        except KdlabError:
            raise
        except Exception as error:
            log.exception("%s: failed", plan.name)
            failed[plan.name] = f"{plan.name}: failed by {type(error).__name__}: {error}"
    return found, failed


def _obtain(plan: Plan, context: Context, earlier: Mapping[str, Trained]) -> Trained:
    of_run = context.folder / "checkpoints" / f"{plan.name}.pt"
    if context.store is None:
        trained = _given(plan, context) if plan.given else _train(plan, context, earlier, resume=None)
        weights.save(trained.net, of_run)
        return trained
    with context.locked(plan.key, plan.name):
        entry = _intact(plan, context.store)
        if plan.given:
            trained = _given(plan, context)
        elif entry:
            trained = _reuse(plan, context, entry)
        else:
            try:
                trained = _train(plan, context, earlier, resume=context.store.checkpoint(plan.key))
            except Diverged:
                context.store.abandon(plan.key)
                raise
        if entry is None:
            _keep(plan, trained, context.store)
        weights.copy(context.store.entry(plan.key).weights, of_run)
    return trained


def _intact(plan: Plan, store: Store) -> Entry | None:
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


def _given(plan: Plan, context: Context) -> Trained:
    """Return given weights as a fit; say how good they are, with a warning if they are nearer to guessing."""
    log.info("%s: weights of %s, content key %s", plan.name, plan.given, plan.key)
    inputs, labels = context.data.split(place := context.data.unlabelled()[0])
    share = float((context.logits(plan.net, inputs).argmax(dim=1) == labels).double().mean())
    guessing = 1 / len(context.data.class_names)
    log.info("%s: right on %.1f %% of the %d %s samples", plan.name, 100 * share, len(labels), place)
    if share < (1 + guessing) / 2:
        log.warning(
            "%s: its given weights are right on %.1f %% only, which is nearer to guessing (%.1f %%) than to perfect. "
            "Does the network see inputs scaled as in its training (docs/data.md), and the classes in this order?",
            plan.name, 100 * share, 100 * guessing,
        )  # fmt: skip
    return _trained(plan, [], epochs=0, seconds=0.0, reused=True)


def _reuse(plan: Plan, context: Context, entry: Entry) -> Trained:
    log.info("%s: reused, content key %s", plan.name, plan.key)
    metrics, curve = entry.metrics(), read_curve(entry.curve)
    replay(curve, context.board(plan.name, plan.key))
    return _trained(plan, curve, epochs=metrics["epochs"], seconds=metrics["seconds"], reused=True)


def _train(plan: Plan, context: Context, earlier: Mapping[str, Trained], resume: Path | None) -> Trained:
    log.info("%s: training on %d samples, content key %s", plan.name, len(plan.data.train_ids), plan.key)
    log.info("%s: minimizes %s", plan.name, equation_of(plan.recipe))
    board, goes_on = context.board(plan.name, plan.key), resume is not None and resume.exists()
    module = _module(plan, context, earlier)
    epochs, seconds = fit(
        plan.name,
        module,
        plan.data,
        max_epochs=plan.recipe.max_epochs,
        patience=plan.recipe.patience,
        seed=plan.seed,
        hardware=context.hardware,
        board=board,
        checkpoint=resume,
    )
    if goes_on:  # its event files lack the epochs before the interruption
        replay(module.curve, board)
    else:
        mark_whole(board)
    return _trained(plan, module.curve, epochs=epochs, seconds=seconds, reused=False)


def _trained(plan: Plan, curve: Sequence[Point], *, epochs: int, seconds: float, reused: bool) -> Trained:
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
    )
    return Trained(plan.net.eval(), plan.recipe, record, curve)


def _keep(plan: Plan, trained: Trained, store: Store) -> None:
    metrics = {
        "arm": plan.name,
        "dataset": plan.data.name,
        "epochs": trained.record.epochs,
        "seconds": trained.record.seconds,
        "parameters": trained.record.parameters,
        "last": {figure: value for _, figure, value in trained.curve if math.isfinite(value)},
    }
    with store.writing(plan.key) as folder:
        weights.save(trained.net, folder / "weights.pt")
        write_json(plan.contents, folder / "config.json")
        write_json(metrics, folder / "metrics.json")
        write_curve(trained.curve, folder / "curves.csv")


def _module(plan: Plan, context: Context, earlier: Mapping[str, Trained]) -> TrainedNetwork:
    """Build what is trained: a teacher, or a student with its loss and the targets that its recipe names."""
    optimizer = instantiate(plan.recipe.optimizer, _convert_="all")
    schedule = instantiate(plan.recipe.schedule, _convert_="all")
    if not isinstance(plan.recipe, StudentRecipe):
        return Classifier(plan.net, optimizer=optimizer, schedule=schedule)
    return Distilled(
        plan.net,
        loss=loss_of(plan.recipe),
        teacher=_teacher(plan, plan.recipe, context, earlier),
        soft=plan.recipe.learns_from.soft,
        optimizer=optimizer,
        schedule=schedule,
    )


def _teacher(plan: Plan, recipe: StudentRecipe, context: Context, earlier: Mapping[str, Trained]) -> Teacher | None:
    """Return the source of a student's targets: its teacher, or the data's Bayes rule; None for the labels.

    Its logits are looked up where the inputs never change, and computed for each batch where they are augmented.
    """
    live = not isinstance(plan.data.augment, nn.Identity)
    match recipe.learns_from.source:
        case "teacher":
            teacher = earlier[recipe.teacher[0]]
            return LiveTeacher(teacher.net) if live else context.cached_teacher(teacher)
        case "bayes":
            rule = context.data.bayes_rule
            assert rule
            return LiveTeacher(rule) if live else CachedTeacher(context.logits(rule, context.data.train.inputs))
        case "labels":
            return None
