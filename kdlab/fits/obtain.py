"""From plans to trained networks: reused from the store, or trained and then kept there."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from kdlab.curves import read_curve
from kdlab.errors import Diverged, KdlabError
from kdlab.fits import weights
from kdlab.fits.boards import replay
from kdlab.fits.context import Context
from kdlab.fits.fit import Took, at_most
from kdlab.fits.kept import intact, interrupted_stacks, keep, stack_key, trained
from kdlab.fits.measured import Logits, logits_of_all
from kdlab.fits.plan import Plan
from kdlab.fits.processes import side_by_side
from kdlab.fits.stackable import companies, have_room, stacks
from kdlab.fits.train import Task, prepare, train, train_stack
from kdlab.fits.trained import Trained
from kdlab.outcome import stage
from kdlab.store import Store

log = logging.getLogger(__name__)


def obtain(
    plans: Sequence[Plan], context: Context, earlier: Mapping[str, Trained]
) -> tuple[dict[str, Trained], dict[str, str]]:
    """Return the planned fits of a run by name, with their weights in its folder; and why others failed.

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
    results = obtain_all([Task(plan, earlier, context) for plan in plans])
    for plan, result in zip(plans, results, strict=True):
        if isinstance(result, Trained):
            with stage(plan.name):
                weights.save(result.net, context.folder / "checkpoints" / f"{plan.name}.pt")
            found[plan.name] = result
        else:
            failed[plan.name] = result
    return found, failed


def obtain_all(tasks: Sequence[Task], *, of_one_shape: bool = False) -> list[Trained | str]:
    """Return each fit, loaded, reused, or trained and then kept; or why it failed.

    Fits that are to be trained and are of one shape are trained at once, and on a CPU others side by side
    (`kdlab.fits.stackable`). A fit fails where its training diverges, where the user's own code raises, and where its
    teacher failed.

    Args:
        tasks: the fits; those of several runs have one store and hardware.
        of_one_shape: whether they are known to be of one shape, and few enough to be trained at once.

    Raises:
        DiskFull: when there is no room for a file.
        StoreError: when the store cannot be written to.
    """
    results: dict[int, Trained | str] = {}
    distinct: dict[str, Task] = {}
    for task in tasks:
        if lost := [name for name in task.plan.recipe.needs if name not in task.earlier]:
            results[id(task)] = f"{task.plan.name}: not trained, since {lost[0]} failed"
        else:
            distinct.setdefault(task.plan.key, task)
    for together in _trained_together(distinct, of_one_shape):
        for task, result in zip(together, _obtain_stack(together), strict=True):
            results[id(task)] = result
    for company in _companies([task for task in distinct.values() if id(task) not in results]):
        for task, result in zip(company, _obtain_side_by_side(company), strict=True):
            results[id(task)] = result
    return [results[id(task)] if id(task) in results else _obtain_one(task) for task in tasks]


def _trained_together(tasks: Mapping[str, Task], of_one_shape: bool) -> Iterator[list[Task]]:
    """Yield the tasks, given by their keys, that are to be trained in one stack.

    A stack that was cut off goes on in the company that it had, so that it ends with the same weights, bit for bit.
    """
    if not tasks:
        return
    context = next(iter(tasks.values())).context
    new = {key: task for key, task in tasks.items() if not (context.store and context.store.has(key))}
    for keys in interrupted_stacks(context.store) if context.store else ():
        if new.keys() & keys and tasks.keys() >= set(keys):
            yield [tasks[key] for key in keys]
            new = {key: task for key, task in new.items() if key not in keys}
    of_plan, plans = {id(task.plan): task for task in new.values()}, [task.plan for task in new.values()]
    for group in [plans] if of_one_shape else stacks(plans, context):
        if len(group) > 1:
            yield [of_plan[id(plan)] for plan in group]


def _companies(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Yield the tasks that are to be trained side by side.

    Who keeps whom company depends on the tasks alone, so that it is the same after an interruption.
    """
    if not tasks:
        return
    of_plan = {id(task.plan): task for task in tasks}
    for group in companies([task.plan for task in tasks], tasks[0].context):
        store = of_plan[id(group[0])].context.store
        new = [plan for plan in group if not (store and store.has(plan.key))]
        if len(new) > 1 and have_room(new):
            yield [of_plan[id(plan)] for plan in new]


def _obtain_side_by_side(tasks: Sequence[Task]) -> list[Trained | str]:
    """Return fits that are trained at the same time, each in a process that leaves it in the store.

    Where a process is killed, or meets what fails the run, its fit goes on here.
    """
    log.info("%s: trained side by side, each with one thread", ", ".join(task.plan.name for task in tasks))
    with ExitStack() as ending:
        if tasks[0].context.store is None:  # below the run's folder, where an interruption may leave it
            scratch = ending.enter_context(TemporaryDirectory(prefix=".store-", dir=tasks[0].context.folder))
            store = Store(Path(scratch))
            # Without a sweep, each fit's TensorBoard files are the run's, as they are without a store.
            tasks = [task._replace(context=replace(task.context, store=store, sweep=None)) for task in tasks]
        for task in tasks:
            with suppress(Exception):  # the fit itself meets it, and says so
                prepare(task)
        said = side_by_side(_reused_or_failed, tasks)
        with at_most(1):
            return [
                how if isinstance(how, str) else _obtain_one(task, reused=how)
                for task, how in zip(tasks, said, strict=True)
            ]


def _reused_or_failed(task: Task) -> bool | str | None:
    """Obtain a fit; return whether it was reused, why it failed, or None for what is told where the run is."""
    try:
        result = _obtain_one(task)
    except KdlabError:
        return None
    return result.record.reused if isinstance(result, Trained) else result


def _obtain_one(task: Task, *, reused: bool | None = None) -> Trained | str:
    """Return a fit, or why it failed; `reused` is given for one that another process has obtained."""
    plan, context = task.plan, task.context
    try:
        with stage(plan.name), context.locked(plan.key, plan.name):
            return _reused(plan, context, reused) or _kept(plan, train(task), context)
    except Diverged as error:
        return str(error)
    except KdlabError:
        raise
    except Exception as error:
        log.exception("%s: failed", plan.name)
        return f"{plan.name}: failed by {type(error).__name__}: {error}"


def _obtain_stack(tasks: Sequence[Task]) -> list[Trained | str]:
    """Return fits of one shape, trained at once; one by one where the stack fails for a reason of its own."""
    try:
        with stage("stack"), _all_locked(tasks):
            store = tasks[0].context.store
            goes_on = store and store.is_cut_off(_key_of(tasks))
            results: list[Trained | str | None] = [
                None if goes_on else _reused(task.plan, task.context) for task in tasks
            ]
            missing = [index for index, result in enumerate(results) if result is None]
            if len(missing) > 1:
                new = _trained_at_once([tasks[index] for index in missing])
                for index, result in zip(missing, new, strict=True):
                    results[index] = result
    except torch.OutOfMemoryError:
        half = len(tasks) // 2
        log.info("a stack of %d fits does not fit into memory: two halves", len(tasks))
        return [result for part in (tasks[:half], tasks[half:]) for result in _obtain_stack(part)]
    except KdlabError:
        raise
    except Exception:
        log.exception("the stack of %d fits failed; they are trained one by one", len(tasks))
        results = [None] * len(tasks)
    return [result or _obtain_one(task) for task, result in zip(tasks, results, strict=True)]


def _key_of(tasks: Sequence[Task]) -> str:
    return stack_key([task.plan.key for task in tasks])


@contextmanager
def _all_locked(tasks: Sequence[Task]) -> Iterator[None]:
    with ExitStack() as locks:
        for task in sorted(tasks, key=lambda task: task.plan.key):  # all processes lock in one order
            locks.enter_context(task.context.locked(task.plan.key, task.plan.name))
        yield


def _trained_at_once(tasks: Sequence[Task]) -> list[Trained | str]:
    context, key = tasks[0].context, _key_of(tasks)
    with context.locked(key, "the stack"):
        ended = train_stack(tasks)
        logits = logits_of_all(
            [(end, task.context) for task, end in zip(tasks, ended, strict=True) if isinstance(end, Trained)]
        )
        results: list[Trained | str] = [
            str(end) if isinstance(end, Diverged) else _kept(task.plan, end, task.context, logits.get(task.plan.key))
            for task, end in zip(tasks, ended, strict=True)
        ]
        if context.store:
            context.store.abandon(key)
    return results


def _reused(plan: Plan, context: Context, reused: bool | None = None) -> Trained | None:
    """Return a fit that was given or is in the store; None for one that is still to be trained.

    `reused` is given for a fit that another process has obtained: whether that process found it in the store.
    """
    entry = intact(plan, context.store) if context.store else None
    if plan.given:
        given = _given(plan, context)
        return given if entry else _kept(plan, given, context)
    if entry is None:
        return None
    if reused is None:
        reused = not context.claims(plan.key)
        log.info("%s: %s, content key %s", plan.name, "reused" if reused else "trained ahead", plan.key)
    metrics, curve = entry.metrics(), read_curve(entry.curve)
    replay(curve, context.board(plan.name, plan.key))
    took = Took(metrics["epochs"], metrics["seconds"], metrics["threads"])
    return trained(plan, curve, took, reused=reused, stack=metrics["stack"])


def _given(plan: Plan, context: Context) -> Trained:
    """Return given weights as a fit; say how good they are, with a warning if they are nearer to guessing."""
    log.info("%s: given by %s, content key %s", plan.name, plan.given, plan.key)
    inputs, labels = context.data.split(place := context.data.unlabelled_split)
    share = float((context.logits(plan.net, inputs).argmax(dim=1) == labels).double().mean())
    guessing = 1 / len(context.data.class_names)
    log.info("%s: right on %.1f %% of the %d %s samples", plan.name, 100 * share, len(labels), place)
    if share < (1 + guessing) / 2:
        log.warning(
            "%s: what was given is right on %.1f %% only, which is nearer to guessing (%.1f %%) than to perfect. Does "
            "it see inputs normalized as in its training (docs/data.md), are classes, or rows of logits, in order?",
            plan.name, 100 * share, 100 * guessing,
        )  # fmt: skip
    return trained(plan, [], Took(epochs=0, seconds=0.0, threads=0), reused=True)


def _kept(plan: Plan, fit: Trained, context: Context, logits: Logits | None = None) -> Trained:
    if context.store:
        keep(plan, fit, context.store, logits or {})
    return fit
