"""The story of one experiment: data → teacher → arms → evaluation → results."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import instantiate
from lightning import seed_everything
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor, nn

from kdlab import hardware
from kdlab.checks import check
from kdlab.content_key import content_key
from kdlab.data import ClassificationData, load
from kdlab.evaluation import corrections, measure, offset_rows
from kdlab.fit import fit
from kdlab.inference import logits_of
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.recipes import Recipe, arm_recipe, teacher_recipe
from kdlab.report.terminal import summary
from kdlab.results import Fit, Results, Row, write
from kdlab.seeds import derive

log = logging.getLogger(__name__)


class Bench(NamedTuple):
    """What all fits of a run share."""

    data: ClassificationData
    hardware: hardware.Hardware
    folder: Path

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device)


@dataclass
class Trained:
    """A finished fit: its network, and its entry in the results."""

    net: nn.Module
    record: Fit
    bench: Bench

    @cached_property
    def train_logits(self) -> Tensor:
        """Logits (N, C) for the whole official training set, computed once for all students."""
        return self.bench.logits(self.net, self.bench.data.train.inputs)


def run(config: DictConfig, folder: Path) -> Results:
    """Run the experiment that `config` describes, and write all it found below `folder`.

    Raises:
        ConfigError: when the config cannot be run; nothing has been read or trained then.
        DataError: when the data set cannot be had, or not be used.
        Diverged: when a fit's loss is no longer finite.
    """
    check(config)
    data = load(instantiate(config.data, _convert_="all"))
    bench = Bench(data, hardware.choose(config.trainer.accelerator, config.trainer.precision), folder)
    _announce(config, bench)

    teacher = fit_teacher(config, bench)
    arms = {arm: fit_arm(arm, arm_recipe(config, arm), bench, teacher) for arm in config.arms}
    rows = evaluate(bench, teacher, arms, shared_offset=config.evaluation.prior_offsets == "shared")

    results = Results(
        experiment=config.name,
        dataset=data.name,
        seed=config.seed,
        held_out_classes=data.held_out,
        config=OmegaConf.to_container(config, resolve=True),  # type: ignore[arg-type]
        environment=hardware.environment(bench.hardware),
        fits=[trained.record for trained in (teacher, *arms.values())],
        rows=rows,
    )
    write(results, folder / "results.json")
    console = Console()
    console.print(summary(results))
    console.print(f"results: {folder / 'results.json'}", soft_wrap=True, highlight=False)
    console.print(f"curves:  tensorboard --logdir {folder}", soft_wrap=True, highlight=False)
    return results


def _announce(config: DictConfig, bench: Bench) -> None:
    held_out = ", ".join(bench.data.class_names[c] for c in bench.data.held_out) or "none"
    log.info("%s on %s, seed %d, held-out classes: %s", config.name, bench.data.name, config.seed, held_out)
    log.info("device: %s, precision: %s", bench.hardware.device, bench.hardware.precision)


def fit_teacher(config: DictConfig, bench: Bench) -> Trained:
    """Train the teacher, on all classes."""
    recipe = teacher_recipe(config)
    seed = derive(recipe["seed"], "teacher")
    module = Classifier(new_network(recipe, seed), **_optimization(recipe))
    return _run_fit("teacher", module, recipe, bench, seed=seed, held_out=[], teacher_key=None)


def fit_arm(arm: str, recipe: Recipe, bench: Bench, teacher: Trained) -> Trained:
    """Train one student, on the transfer set: with labels, or with the teacher's soft targets."""
    # Apart from the teacher's: with one network for both, the student must not start as its teacher did.
    seed = derive(recipe["seed"], "student")
    net = new_network(recipe, seed)
    held_out = bench.data.held_out
    if recipe["targets"] == "truth":
        module: TrainedNetwork = Classifier(net, **_optimization(recipe))
        recipe = {key: value for key, value in recipe.items() if key != "loss"}
        return _run_fit(arm, module, recipe, bench, seed=seed, held_out=held_out, teacher_key=None)
    loss = instantiate(recipe["loss"], _convert_="all")
    log.info("%s: minimizes %s", arm, loss)
    module = Distilled(
        net,
        loss=loss,
        teacher=_teacher_for(recipe, teacher),
        **_optimization(recipe),
    )
    return _run_fit(arm, module, recipe, bench, seed=seed, held_out=held_out, teacher_key=teacher.record.key)


def new_network(recipe: Recipe, seed: int) -> nn.Module:
    """Build the recipe's network; its initial weights are a function of the network and the seed alone."""
    seed_everything(derive(seed, "weights"), verbose=False)
    return instantiate(recipe["net"], _convert_="all")


def _teacher_for(recipe: Recipe, teacher: Trained) -> CachedTeacher | LiveTeacher:
    """Look the teacher's logits up where the inputs never change; ask it each time where they are augmented."""
    if isinstance(instantiate(recipe["augment"], _convert_="all"), nn.Identity):
        return CachedTeacher(teacher.train_logits)
    return LiveTeacher(teacher.net)


def _optimization(recipe: Recipe) -> dict[str, Any]:
    return {part: instantiate(recipe[part], _convert_="all") for part in ("optimizer", "schedule")}


def _run_fit(
    arm: str,
    module: TrainedNetwork,
    recipe: Recipe,
    bench: Bench,
    *,
    seed: int,
    held_out: list[int],
    teacher_key: str | None,
) -> Trained:
    data = bench.data.for_fit(
        held_out=held_out,
        augment=instantiate(recipe["augment"], _convert_="all"),
        order_seed=derive(seed, "order"),
    )
    key = content_key(
        recipe=recipe,
        data=data,
        precision=bench.hardware.precision,
        net=module.net,
        teacher_key=teacher_key,
    )
    log.info("%s: training on %d samples, content key %s", arm, len(data.train_ids), key)
    fitted = fit(
        arm,
        module,
        data,
        max_epochs=recipe["max_epochs"],
        seed=seed,
        hardware=bench.hardware,
        folder=bench.folder,
    )
    _save(fitted.net, bench.folder / "checkpoints" / f"{arm}.pt")
    parameters = sum(p.numel() for p in fitted.net.parameters())
    return Trained(fitted.net, Fit(arm, key, False, fitted.epochs, fitted.seconds, parameters), bench)


def _save(net: nn.Module, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(net.state_dict(), part)
    part.replace(path)


def evaluate(bench: Bench, teacher: Trained, arms: dict[str, Trained], *, shared_offset: bool) -> list[Row]:
    """Measure the teacher and each arm on the test set, before and after bias correction: the one time it is used."""
    test, held_out = bench.data.test, bench.data.held_out
    unlabelled_split, unlabelled = bench.data.unlabelled()
    teacher_logits = bench.logits(teacher.net, test.inputs)
    unlabelled_teacher_logits = bench.logits(teacher.net, unlabelled)
    rows = measure("teacher", "test", teacher_logits, test.labels, teacher_logits=teacher_logits, held_out=held_out)
    for arm, trained in arms.items():
        logits = bench.logits(trained.net, test.inputs)
        rows += measure(arm, "test", logits, test.labels, teacher_logits=teacher_logits, held_out=held_out)
        if not held_out:
            continue
        offsets = corrections(
            logits,
            test.labels,
            unlabelled_logits=bench.logits(trained.net, unlabelled),
            unlabelled_teacher_logits=unlabelled_teacher_logits,
            held_out=held_out,
            shared=shared_offset,
        )
        for correction, offset in offsets.items():
            rows += measure(
                arm, "test", logits + offset, test.labels,
                teacher_logits=teacher_logits, held_out=held_out, correction=correction,
            )  # fmt: skip
            fitted_on = ("test", len(test.labels)) if correction == "oracle" else (unlabelled_split, len(unlabelled))
            rows += offset_rows(arm, fitted_on[0], correction, offset, held_out, fitted_on[1])
    return rows
