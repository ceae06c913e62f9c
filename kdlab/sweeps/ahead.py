"""Training ahead: the fits of many points that are of one shape, at once, before the points are put together.

A point then finds its fits in the store. What cannot be stacked, and what fails here, is left to the points themselves.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kdlab.config.compose import ComposedConfig
from kdlab.config.recipes import generations
from kdlab.errors import KdlabError
from kdlab.fits.context import Context
from kdlab.fits.obtain import obtain_all
from kdlab.fits.plan import Plan, plan_fits
from kdlab.fits.stackable import stacks
from kdlab.fits.train import Task
from kdlab.fits.trained import Trained
from kdlab.measure.networks import splits_of
from kdlab.pipeline import context_of, with_data


class _Fit(NamedTuple):
    """One of the distinct fits of many points, and the fits of the same point by name, its teachers among them."""

    plan: Plan
    of_point: dict[str, Plan]


@dataclass
class _Work:
    """The distinct fits of many points by generation and key, and the splits on which the points measure them."""

    context: Context
    fits: dict[int, dict[str, _Fit]] = field(default_factory=lambda: defaultdict(dict))
    measured_on: dict[str, None] = field(default_factory=dict)

    def generations(self) -> list[list[_Fit]]:
        return [list(fits.values()) for _, fits in sorted(self.fits.items())]


def train_ahead(
    configs: Iterable[ComposedConfig], sweep: Path, *, began: float = 0.0, share: int = 0, shares: int = 1
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
    """
    for work in _planned(configs, sweep, began):
        context, had = work.context, dict[str, Trained]()
        for generation in work.generations():
            plans = {fit.plan.key: fit for fit in generation}
            together = [group for group in stacks([fit.plan for fit in plans.values()], context) if len(group) > 1]
            for group in together:
                mine = group[len(group) * share // shares : len(group) * (share + 1) // shares]
                tasks = [_task(plans[plan.key], context, had) for plan in mine]
                _obtained([task for task in tasks if task], context, work.measured_on)
        context.forget_teachers()


def _planned(configs: Iterable[ComposedConfig], sweep: Path, began: float) -> Iterable[_Work]:
    """Return the work of the points, for each data set, device and store that they name."""
    found: dict[str, _Work] = {}
    for config in configs:
        try:
            experiment = with_data(config, sweep, began)
            place = repr((experiment.config["data"], experiment.trainer, experiment.store))
            if place not in found:
                found[place] = _Work(context_of(experiment, sweep, began, sweep))
            work, recipes = found[place], experiment.recipes
            plans = plan_fits(recipes, work.context)
        except KdlabError:  # the point itself will say so
            continue
        work.measured_on |= dict.fromkeys(splits_of(experiment.evaluation, recipes.values(), experiment.data))
        for number, names in enumerate(generations(recipes)):
            for name in names:
                work.fits[number].setdefault(plans[name].key, _Fit(plans[name], plans))
    return found.values()


def _task(fit: _Fit, context: Context, had: dict[str, Trained]) -> Task | None:
    """Return a fit with its teachers, which are trained if need be; None if that failed."""
    earlier: dict[str, Trained] = {}
    for name in fit.plan.recipe.needs:
        plan = fit.of_point[name]
        if plan.key not in had:
            task = _task(_Fit(plan, fit.of_point), context, had)
            (result,) = _obtained([task], context) if task else (None,)
            if not isinstance(result, Trained):
                return None
            had[plan.key] = result
        earlier[name] = had[plan.key]
    return Task(fit.plan, earlier)


def _obtained(tasks: list[Task], context: Context, measured_on: Iterable[str] = ()) -> list[Trained | str]:
    results = obtain_all(tasks, context, measured_on=list(measured_on))
    for result in results:
        if isinstance(result, Trained) and not result.record.reused:
            context.mark_ahead(result.record.key)
    return results
