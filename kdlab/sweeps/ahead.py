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
    """What many points have in common that name one data set, device and store.

    `fits` are their distinct fits by generation and key, `measured_on` the splits on which the points measure them,
    `had` the teachers that were found or trained.
    """

    context: Context
    fits: dict[int, dict[str, _Fit]] = field(default_factory=lambda: defaultdict(dict))
    measured_on: dict[str, None] = field(default_factory=dict)
    had: dict[str, Trained] = field(default_factory=dict)

    def of_share(self, share: int, shares: int) -> list[list[_Fit]]:
        """Return a share of each stack, in an order in which students follow their teachers."""
        found = []
        for _, fits in sorted(self.fits.items()):
            for group in stacks([fit.plan for fit in fits.values()], self.context):
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
            _obtained(tasks, work.context, measured_on=list(work.measured_on), of_one_shape=True)
            done += len(fits)
            tell(done, count)
        work.context.forget_teachers()


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


def _task(fit: _Fit, work: _Work) -> Task | None:
    """Return a fit with its teachers, which are trained if need be; None if that failed."""
    earlier: dict[str, Trained] = {}
    for name in fit.plan.recipe.needs:
        plan = fit.of_point[name]
        if plan.key not in work.had:
            task = _task(_Fit(plan, fit.of_point), work)
            (result,) = _obtained([task], work.context) if task else (None,)
            if not isinstance(result, Trained):
                return None
            work.had[plan.key] = result
        earlier[name] = work.had[plan.key]
    return Task(fit.plan, earlier)


def _obtained(tasks: list[Task], context: Context, **how: Any) -> list[Trained | str]:
    results = obtain_all(tasks, context, **how)
    for result in results:
        if isinstance(result, Trained) and not result.record.reused:
            context.mark_ahead(result.record.key)
    return results
