"""Training ahead: the fits of many points that are of one shape, at once, before the points are put together.

A point then finds its fits in the store. What cannot be stacked, and what fails here, is left to the points themselves.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.config.compose import ComposedConfig
from kdlab.config.recipes import generations
from kdlab.data import ClassificationData, Samples
from kdlab.errors import KdlabError
from kdlab.fits.context import Context
from kdlab.fits.obtain import obtain_all
from kdlab.fits.plan import Plan, plan_fits
from kdlab.fits.stackable import stacks
from kdlab.fits.train import Task
from kdlab.fits.trained import Trained
from kdlab.pipeline import context_of, with_data


class _Fit(NamedTuple):
    """One of the distinct fits of many points, all fits of its point by name, and what these share."""

    plan: Plan
    of_point: dict[str, Plan]
    context: Context


@dataclass
class _Work:
    """What many points have in common that name one device and store.

    `fits` are their distinct fits by generation and key, `had` the teachers that were found or trained.
    """

    fits: dict[int, dict[str, _Fit]] = field(default_factory=lambda: defaultdict(dict))
    had: dict[str, Trained] = field(default_factory=dict)

    def of_share(self, share: int, shares: int) -> list[list[_Fit]]:
        """Return a share of each stack, in an order in which students follow their teachers."""
        found = []
        for _, fits in sorted(self.fits.items()):
            context = next(iter(fits.values())).context
            for group in stacks([fit.plan for fit in fits.values()], context):
                mine = group[len(group) * share // shares : len(group) * (share + 1) // shares]
                found += [[fits[plan.key] for plan in mine]] if len(group) > 1 else []
        return found


def train_ahead(
    configs: Iterable[ComposedConfig],
    sweep: Path,
    *,
    began: float = 0.0,
    share: int = 0,
    shares: int = 1,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Train one share of the stacks of these points, and the teachers that it needs.

    Every process that takes a share plans all points, so that all agree on who trains what. A teacher that another
    process is training is waited for.

    Args:
        configs: of the points, as composed.
        sweep: the sweep's folder.
        began: when the command was given; see `kdlab.pipeline.run`.
        share: which share, from 0.
        shares: how many there are.
        tell: is told how many of the share's distinct fits are done, and how many there are, when that changes.
    """
    parts = [(work, work.of_share(share, shares)) for work in _planned(configs, sweep, began)]
    done, count = 0, sum(len(fits) for _, groups in parts for fits in groups)
    if count:
        tell(done, count)
    for work, groups in parts:
        for fits in groups:
            tasks = [task for fit in fits if (task := _task(fit, work))]
            _obtained(tasks, of_one_shape=True)
            for task in tasks:
                task.context.forget_teachers()
            done += len(fits)
            tell(done, count)


def _planned(configs: Iterable[ComposedConfig], sweep: Path, began: float) -> Iterable[_Work]:
    """Return the work of the points, for each device and store that they name."""
    found: dict[str, _Work] = defaultdict(_Work)
    contexts: dict[str, Context] = {}
    samples: dict[str, Samples] = {}
    for config in configs:
        try:
            experiment = with_data(config, sweep, began)
            place = repr((experiment.trainer, experiment.store))
            of_point = context_of(experiment, sweep, began, sweep)
            context = contexts.setdefault(repr((place, experiment.config["data"])), of_point)
            _share(context.data, samples)
            plans = plan_fits(experiment.recipes, context)
        except KdlabError:  # the point itself will say so
            continue
        context.measured_on.update(of_point.measured_on)
        for number, names in enumerate(generations(experiment.recipes)):
            for name in names:
                found[place].fits[number].setdefault(plans[name].key, _Fit(plans[name], plans, context))
    return found.values()


def _share(data: ClassificationData, samples: dict[str, Samples]) -> None:
    """Let data hold, in place of its own copy, the same samples that earlier data hold: those of other splits do."""
    data.train = samples.setdefault(data.split_key("official"), data.train)
    data.test = samples.setdefault(data.split_key("test"), data.test)


def _task(fit: _Fit, work: _Work) -> Task | None:
    """Return a fit with its teachers, which are trained if need be; None if that failed."""
    earlier: dict[str, Trained] = {}
    for name in fit.plan.recipe.needs:
        plan = fit.of_point[name]
        if plan.key not in work.had:
            task = _task(fit._replace(plan=plan), work)
            (result,) = _obtained([task]) if task else (None,)
            if not isinstance(result, Trained):
                return None
            work.had[plan.key] = result
        earlier[name] = work.had[plan.key]
    return Task(fit.plan, earlier, fit.context)


def _obtained(tasks: list[Task], **how: Any) -> list[Trained | str]:
    results = obtain_all(tasks, **how)
    for task, result in zip(tasks, results, strict=True):
        if isinstance(result, Trained) and not result.record.reused:
            task.context.mark_ahead(result.record.key)
    return results
