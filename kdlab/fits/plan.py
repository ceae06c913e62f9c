"""What each fit of a run will be, down to its content key, before anything is trained."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import seed_everything
from torch import nn

from kdlab.config.experiment import Node, Recipe, StudentRecipe, TeacherRecipe
from kdlab.config.networks import network_of
from kdlab.config.recipes import generations, keys_of
from kdlab.data import ClassificationData
from kdlab.errors import ConfigError
from kdlab.fits import weights
from kdlab.fits.context import Context
from kdlab.fits.given_logits import table_of
from kdlab.fits.key import fit_contents
from kdlab.hashing import derive, short_hash
from kdlab.models.logits_table import LogitsTable
from kdlab.models.normalization import Normalization
from kdlab.modules.rates import shares_of

# Parts of a recipe that stand in a content key in another form: teachers and the fit to begin with as their keys,
# held-out classes among the data, given weights and logits as their checksum.
KEYED_ELSEWHERE = ("teacher", "start", "held_out_classes", "batch_size", "checkpoint", "logits")


@dataclass(frozen=True)
class Plan:
    """One planned fit: to be trained, taken from the store, or loaded from weights that the user gave.

    `outline` is its network without weights, `build` gives one with its initial, or given, weights. `data` is the fit's
    view of the data. `contents` holds everything that its weights depend on, `key` is their hash.
    """

    name: str
    recipe: Recipe
    outline: nn.Module
    build: Callable[[], nn.Module]
    data: ClassificationData
    seed: int
    contents: dict[str, Any]

    @cached_property
    def net(self) -> nn.Module:
        """The network, built when it is first asked for: a plan that is only looked at needs none."""
        return self.build()

    @property
    def key(self) -> str:
        """The content key."""
        return short_hash(self.contents)

    @property
    def given(self) -> Path | None:
        """The file of weights, or of logits, that the user gave for it, if any; not one that it only begins with."""
        recipe = self.recipe
        if not isinstance(recipe, TeacherRecipe):
            return None
        file = recipe.logits or (None if recipe.new_head else recipe.checkpoint)
        return Path(file).expanduser() if file else None


def plan_fits(recipes: Mapping[str, Recipe], context: Context) -> dict[str, Plan]:
    """Plan every fit, in the order of `recipes`.

    Raises:
        CheckpointError: when weights that the user gave cannot be loaded.
        ConfigError: when a rate is for a part that a network has not.
    """
    plans: dict[str, Plan] = {}
    for generation, names in enumerate(generations(recipes)):
        plans |= {name: _plan(name, recipes[name], generation, context, plans) for name in names}
    return {name: plans[name] for name in recipes}


def _plan(name: str, recipe: Recipe, generation: int, context: Context, earlier: Mapping[str, Plan]) -> Plan:
    # All students of one generation start alike, and none from its teacher's initial weights.
    seed = derive(recipe.seed, "student", generation - 1) if generation else derive(recipe.seed, "teacher")
    build: Callable[[], nn.Module] = partial(new_network, recipe.net, seed, context.data.normalization)
    data = context.data.for_fit(
        held_out=list(recipe.held_out_classes),
        augment=instantiate(recipe.augment, _convert_="all"),
        order_seed=derive(seed, "order"),
        batch_size=recipe.batch_size,
    )
    matters: dict[str, Any] = {
        part: getattr(recipe, part) for part in keys_of(type(recipe)) if part not in KEYED_ELSEWHERE
    }
    matters["generation"] = generation
    teachers: list[str] = []
    if isinstance(recipe, StudentRecipe):
        teachers = [earlier[teacher].key for teacher in recipe.teacher if recipe.learns_from.source == "teacher"]
        if recipe.start:
            matters["start"] = earlier[recipe.start].key
    elif recipe.logits:
        table = table_of(Path(recipe.logits).expanduser(), context.data)
        build = partial(nn.Module.eval, table)
        matters, data = {"logits": weights.checksum(table)}, context.data
    elif recipe.checkpoint:
        given = build()
        classes = len(context.data.class_names)
        weights.load(given, Path(recipe.checkpoint).expanduser(), classes=classes, new_head=bool(recipe.new_head))
        build = partial(nn.Module.eval, given)
        if recipe.new_head:
            matters["weights"] = weights.checksum(given)
        else:
            matters, data = {"net": recipe.net, "weights": weights.checksum(given)}, context.data
    outline = _outline(recipe, build, context.data.normalization)
    try:
        shares_of(outline, recipe.optimizer.get("rates") or {})
    except ValueError as error:
        raise ConfigError([f"{name}.optimizer.rates.{error}"]) from error
    contents = fit_contents(recipe=matters, data=data, hardware=context.hardware, net=outline, teacher_keys=teachers)
    return Plan(name, recipe, outline, build, data, seed, contents)


def _outline(recipe: Recipe, build: Callable[[], nn.Module], of_data: Normalization | None) -> nn.Module:
    """Build a network without weights; one whose own code needs their values gets them."""
    if isinstance(recipe, TeacherRecipe) and recipe.logits:
        return build()
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that are loaded, to no effect
            return network_of(recipe.net, of_data)
    except Exception:
        return build()


def reopened(recipe: Recipe, path: Path, of_data: Normalization | None) -> nn.Module:
    """Return a fit's network with the weights in a file that a run has written.

    Raises:
        CheckpointError: when they cannot be loaded.
    """
    if isinstance(recipe, TeacherRecipe) and recipe.logits:
        return LogitsTable(**weights.read(path)).eval()
    net = new_network(recipe.net, 0, of_data)
    weights.load(net, path)
    return net.eval()


def new_network(node: Node, seed: int, of_data: Normalization | None) -> nn.Module:
    """Build a network; its initial weights are a function of the network and the seed alone."""
    seed_everything(derive(seed, "weights"), verbose=False)
    return network_of(node, of_data)
