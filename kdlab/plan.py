"""What each fit of a run will be, down to its content key, before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from kdlab import checkpoints
from kdlab.bench import Bench, new_network
from kdlab.content_hash import short_hash
from kdlab.content_key import fit_contents
from kdlab.data import ClassificationData
from kdlab.data.held_out import class_indices
from kdlab.recipes import Recipe, arm_recipe, teacher_recipe
from kdlab.seeds import derive


@dataclass(frozen=True)
class Plan:
    """One fit to be had: trained, or taken from the store, or (`loaded`) of weights that the user gave.

    `recipe` holds what matters to this fit alone; `contents` is all that it depends on, and `key` the hash of that.
    """

    arm: str
    recipe: Recipe
    net: nn.Module
    data: ClassificationData
    seed: int
    held_out: list[int]
    contents: dict[str, Any]
    loaded: bool = False

    @property
    def key(self) -> str:
        """The content key."""
        return short_hash(self.contents)


def plan_fits(config: DictConfig, bench: Bench) -> dict[str, Plan]:
    """Plan the teacher, and each arm, in the order of the config.

    Raises:
        CheckpointError: when the teacher's weights cannot be loaded.
    """
    teacher = plan_teacher(teacher_recipe(config), bench)
    return {"teacher": teacher} | {arm: plan_arm(arm, arm_recipe(config, arm), bench, teacher) for arm in config.arms}


def plan_teacher(recipe: Recipe, bench: Bench) -> Plan:
    """Plan the teacher: trained on all classes, or with the weights that the recipe names."""
    seed = derive(recipe["seed"], "teacher")
    net = new_network(recipe, seed)
    if recipe["checkpoint"] is None:
        trained = {name: value for name, value in recipe.items() if name != "checkpoint"}
        return _plan("teacher", trained, net, bench, seed=seed, held_out=[], teacher=None)
    checkpoints.load(net, Path(recipe["checkpoint"]).expanduser())
    contents = fit_contents(
        recipe={"net": recipe["net"], "weights": checkpoints.checksum(net)},
        data=bench.data,
        precision=bench.hardware.precision,
        net=net,
        teacher_key=None,
    )
    return Plan("teacher", recipe, net.eval(), bench.data, seed, [], contents, loaded=True)


def plan_arm(arm: str, recipe: Recipe, bench: Bench, teacher: Plan) -> Plan:
    """Plan one student; the teacher is part of what it depends on only where it gives the targets."""
    # Apart from the teacher's: with one network for both, the student must not start as its teacher did.
    seed = derive(recipe["seed"], "student")
    held_out = class_indices(recipe["held_out_classes"], bench.data.class_names)
    unused = {"held_out_classes"} if recipe["targets"].endswith("_soft") else {"held_out_classes", "loss"}
    used = {name: value for name, value in recipe.items() if name not in unused}
    return _plan(
        arm,
        used,
        new_network(recipe, seed),
        bench,
        seed=seed,
        held_out=held_out,
        teacher=teacher if recipe["targets"].startswith("teacher") else None,
    )


def _plan(
    arm: str, recipe: Recipe, net: nn.Module, bench: Bench, *, seed: int, held_out: list[int], teacher: Plan | None
) -> Plan:
    data = bench.data.for_fit(
        held_out=held_out,
        augment=instantiate(recipe["augment"], _convert_="all"),
        order_seed=derive(seed, "order"),
    )
    contents = fit_contents(
        recipe=recipe,
        data=data,
        precision=bench.hardware.precision,
        net=net,
        teacher_key=teacher.key if teacher else None,
    )
    return Plan(arm, recipe, net, data, seed, held_out, contents)
