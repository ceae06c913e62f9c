"""Training: one fit alone, or several of one shape at once."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from torch import nn

from kdlab.config.experiment import StudentRecipe
from kdlab.config.nodes import arguments_of
from kdlab.errors import Diverged
from kdlab.fits.boards import mark_whole, replay
from kdlab.fits.context import Context
from kdlab.fits.fit import fit
from kdlab.fits.kept import note_stack, stack_key, trained
from kdlab.fits.objective import equation_of, loss_of, temperature_of
from kdlab.fits.plan import Plan
from kdlab.fits.stack import fit_stack
from kdlab.fits.trained import Trained
from kdlab.modules import CachedTeacher, Classifier, Distilled, Teacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.store import Store

# So many fits of a stack, at most, are told with their keys.
FITS_NAMED = 12

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """A fit to be had, the finished fits by name, its teachers among them, and what the fits of its run share."""

    plan: Plan
    earlier: Mapping[str, Trained]
    context: Context


def train(task: Task) -> Trained:
    """Train one fit alone; an interrupted one goes on.

    Raises:
        Diverged: when its loss, its weights or its logits are not finite.
    """
    plan, context, store = task.plan, task.context, task.context.store
    log.info("%s: training on %d samples, content key %s", plan.name, len(plan.data.train_ids), plan.key)
    log.info("%s: minimizes %s", plan.name, equation_of(plan.recipe))
    resume = store.checkpoint(plan.key) if store else None
    board, goes_on = context.board(plan.name, plan.key), resume is not None and resume.exists()
    module = _module(task)
    try:
        took = fit(
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
    except Diverged:
        if store:
            store.abandon(plan.key)
        raise
    if goes_on:  # its event files lack the epochs before the interruption
        replay(module.curve, board)
    else:
        mark_whole(board)
    return trained(plan, module.curve, took, reused=False)


def train_stack(tasks: Sequence[Task]) -> list[Trained | Diverged]:
    """Train fits of one shape, with one store and hardware, at once; return each, or why it diverged."""
    plans, context = [task.plan for task in tasks], tasks[0].context
    log.info(
        "%d fits are trained as one stack, on %d samples: %s", len(plans), len(plans[0].data.train_ids), _named(plans)
    )
    modules = [_module(task) for task in tasks]
    ended = fit_stack(
        [plan.name for plan in plans],
        modules,
        [plan.data for plan in plans],
        max_epochs=plans[0].recipe.max_epochs,
        patience=plans[0].recipe.patience,
        hardware=context.hardware,
        checkpoint=_checkpoint(plans, context.store),
    )
    results: list[Trained | Diverged] = []
    for task, module, end in zip(tasks, modules, ended, strict=True):
        if isinstance(end, Diverged):
            results.append(end)
            continue
        replay(module.curve, task.context.board(task.plan.name, task.plan.key))
        results.append(trained(task.plan, module.curve, end, reused=False, stack=len(plans)))
    return results


def _named(plans: Sequence[Plan]) -> str:
    """Return the fits' names and keys, or of many how often each name is among them."""
    if len(plans) <= FITS_NAMED:
        return ", ".join(f"{plan.name} {plan.key}" for plan in plans)
    return ", ".join(f"{count} of {name}" for name, count in Counter(plan.name for plan in plans).items())


def _checkpoint(plans: Sequence[Plan], store: Store | None) -> Path | None:
    """Return the file from which a stack goes on if it is cut off, beside a note of its fits."""
    if store is None:
        return None
    keys = [plan.key for plan in plans]
    checkpoint = store.checkpoint(stack_key(keys))
    note_stack(keys, checkpoint)
    return checkpoint


def _module(task: Task) -> TrainedNetwork:
    """Build what is trained: a teacher, or a student with its loss and the targets that its recipe names."""
    plan = task.plan
    asked = plan.recipe.optimizer
    steps: dict[str, Any] = {
        "optimizer": instantiate(arguments_of("optimizer", asked), _convert_="all"),
        "schedule": instantiate(plan.recipe.schedule, _convert_="all"),
        "clip": asked.get("clip"),
        "rates": asked.get("rates"),
        "average": asked.get("average"),
    }
    if not isinstance(plan.recipe, StudentRecipe):
        return Classifier(plan.net, **steps)
    if plan.recipe.start:
        plan.net.load_state_dict(task.earlier[plan.recipe.start].net.state_dict())
    return Distilled(
        plan.net,
        loss=loss_of(plan.recipe),
        teacher=_teacher(task, plan.recipe),
        soft=plan.recipe.learns_from.soft,
        **steps,
    )


def prepare(task: Task) -> None:
    """Have at hand what a student's teacher says, for all processes that are forked from this one."""
    if isinstance(task.plan.recipe, StudentRecipe):
        _source(task, task.plan.recipe)


def _teacher(task: Task, recipe: StudentRecipe) -> Teacher | None:
    """Return a student's teacher, under the control that its recipe names; None for the labels."""
    teacher = _source(task, recipe)
    return _controlled(teacher, recipe, task.plan) if teacher and recipe.control else teacher


def _source(task: Task, recipe: StudentRecipe) -> Teacher | None:
    """Return the source of a student's targets: its teacher, or the data's Bayes rule; None for the labels.

    Its logits are looked up where the inputs never change, and computed for each batch where they are augmented.
    """
    live = not isinstance(task.plan.data.augment, nn.Identity)
    match recipe.learns_from.source:
        case "teacher":
            return task.context.teacher(task.earlier[recipe.teacher[0]], live=live)
        case "bayes":
            return task.context.bayes_teacher(live=live)
        case "labels":
            return None


def _controlled(teacher: Teacher, recipe: StudentRecipe, plan: Plan) -> CachedTeacher:
    """Return the teacher with other targets for the student's transfer set, as its control makes them."""
    assert isinstance(teacher, CachedTeacher)
    ids, control = plan.data.train_ids, instantiate(recipe.control, _convert_="all")
    logits = teacher.logits.float().cpu().clone()
    logits[ids] = control(logits[ids], plan.data.train.labels[ids], temperature_of(loss_of(recipe)))
    return CachedTeacher(logits)
