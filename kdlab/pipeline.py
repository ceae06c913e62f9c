"""The story of one experiment: data → teacher → arms → evaluation → results."""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from kdlab import checkpoints, hardware
from kdlab.bench import Bench, Trained, new_network
from kdlab.checks import check
from kdlab.content_key import content_key
from kdlab.cost import cost_rows
from kdlab.data import load
from kdlab.data.held_out import class_indices
from kdlab.evaluate import Judged, evaluate
from kdlab.fit import fit
from kdlab.illustrate import figures_of, save_figures
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher, Teacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.recipes import Recipe, arm_recipe, fill_in, teacher_recipe
from kdlab.report import comparison_lines, comparison_table, summary, write_comparison
from kdlab.results import Fit, Results, write, write_curves
from kdlab.seeds import derive

log = logging.getLogger(__name__)


def run(config: DictConfig, folder: Path) -> Results:
    """Run the experiment that `config` describes, and write all it found below `folder`.

    Raises:
        ConfigError: when the config cannot be run; nothing has been read or trained then.
        DataError: when the data set cannot be had, or not be used.
        CheckpointError: when the teacher's weights cannot be loaded.
        Diverged: when a fit's loss is no longer finite.
    """
    check(config)
    asked_for = instantiate(config.data, _convert_="all")
    data = load(asked_for)
    if data is not asked_for:
        check(config, data)
    config = fill_in(config, data)
    bench = Bench(data, hardware.choose(config.trainer.accelerator, config.trainer.precision), folder)
    _announce(config, bench)

    teacher = fit_teacher(config, bench)
    fits = {"teacher": teacher} | {arm: fit_arm(arm, arm_recipe(config, arm), bench, teacher) for arm in config.arms}

    nets = {name: Judged(fit.net, fit.held_out) for name, fit in fits.items()}
    evaluation = evaluate(
        bench,
        nets,
        splits=config.evaluation.splits,
        shared_offset=config.evaluation.prior_offsets == "shared",
    )
    if config.evaluation.cost:
        evaluation.rows.extend(cost_rows({name: fit.net for name, fit in fits.items()}, folder / "checkpoints", data))
    results = Results(
        experiment=config.name,
        dataset=data.name,
        seed=config.seed,
        held_out_classes=data.held_out,
        config=OmegaConf.to_container(config, resolve=True),  # type: ignore[arg-type]
        environment=hardware.environment(bench.hardware),
        fits=[fit.record for fit in fits.values()],
        rows=evaluation.rows,
    )
    write(results, folder / "results.json")
    curves = {name: fit.curves for name, fit in fits.items()}
    write_curves(curves, folder / "curves.csv")
    _report(results, folder)
    save_figures(figures_of(bench, nets, curves, evaluation, results), folder / "figures")
    return results


def _report(results: Results, folder: Path) -> None:
    console = Console()
    console.print(summary(results))
    if lines := comparison_lines(results):
        write_comparison(results, lines, folder / "comparison.csv")
        console.print(comparison_table(results, lines))
    for what, path in {"results": folder / "results.json", "figures": folder / "figures"}.items():
        console.print(f"{what}: {path}", soft_wrap=True, highlight=False)
    console.print(f"curves:  tensorboard --logdir {folder}", soft_wrap=True, highlight=False)


def _announce(config: DictConfig, bench: Bench) -> None:
    held_out = ", ".join(bench.data.class_names[c] for c in bench.data.held_out) or "none"
    log.info("%s on %s, seed %d, held-out classes: %s", config.name, bench.data.name, config.seed, held_out)
    log.info("device: %s, precision: %s", bench.hardware.device, bench.hardware.precision)


def fit_teacher(config: DictConfig, bench: Bench) -> Trained:
    """Train the teacher, on all classes; or load it, where the config names its weights."""
    recipe = teacher_recipe(config)
    seed = derive(recipe["seed"], "teacher")
    net = new_network(recipe, seed)
    if recipe["checkpoint"] is not None:
        return _load_teacher(net, recipe, bench)
    return _run_fit("teacher", Classifier(net, **_optimization(recipe)), recipe, bench, seed=seed, held_out=[])


def fit_arm(arm: str, recipe: Recipe, bench: Bench, teacher: Trained) -> Trained:
    """Train one student on the transfer set, with the targets that its recipe names."""
    # Apart from the teacher's: with one network for both, the student must not start as its teacher did.
    seed = derive(recipe["seed"], "student")
    net = new_network(recipe, seed)
    source, soft = _source_of_targets(recipe, bench, teacher), recipe["targets"].endswith("_soft")
    if source and soft:
        loss = instantiate(recipe["loss"], _convert_="all")
        log.info("%s: minimizes %s", arm, loss)
        module: TrainedNetwork = Distilled(net, loss=loss, teacher=source, **_optimization(recipe))
    else:
        log.info("%s: minimizes the cross-entropy with %s", arm, HARD_TARGETS[recipe["targets"]])
        module = Classifier(net, teacher=source, **_optimization(recipe))
    return _run_fit(
        arm,
        module,
        recipe if soft else {key: value for key, value in recipe.items() if key != "loss"},
        bench,
        seed=seed,
        held_out=class_indices(recipe["held_out_classes"], bench.data.class_names),
        teacher_key=teacher.record.key if recipe["targets"].startswith("teacher") else None,
    )


HARD_TARGETS = {
    "truth": "the labels",
    "teacher_hard": "the teacher's first choices",
    "bayes_hard": "the first choices of the true posterior",
}


def _source_of_targets(recipe: Recipe, bench: Bench, teacher: Trained) -> Teacher | None:
    """Return what gives a student its targets: the teacher, or the Bayes rule of the data; None for the labels.

    Its logits are looked up where the inputs never change, and asked for each time where they are augmented.
    """
    if recipe["targets"] == "truth":
        return None
    bayes_rule = bench.data.bayes_rule if recipe["targets"].startswith("bayes") else None
    if not isinstance(instantiate(recipe["augment"], _convert_="all"), nn.Identity):
        return LiveTeacher(bayes_rule or teacher.net)
    if bayes_rule:
        return CachedTeacher(bench.logits(bayes_rule, bench.data.train.inputs))
    return CachedTeacher(teacher.train_logits)


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
    teacher_key: str | None = None,
) -> Trained:
    data = bench.data.for_fit(
        held_out=held_out,
        augment=instantiate(recipe["augment"], _convert_="all"),
        order_seed=derive(seed, "order"),
    )
    key = content_key(
        recipe={name: value for name, value in recipe.items() if name not in ("checkpoint", "held_out_classes")},
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
        patience=recipe["patience"],
        seed=seed,
        hardware=bench.hardware,
        folder=bench.folder,
    )
    checkpoints.save(fitted.net, bench.folder / "checkpoints" / f"{arm}.pt")
    record = Fit(arm, key, False, fitted.epochs, fitted.seconds, _parameters(fitted.net))
    return Trained(fitted.net, record, bench, fitted.curves, held_out)


def _load_teacher(net: nn.Module, recipe: Recipe, bench: Bench) -> Trained:
    path = Path(recipe["checkpoint"]).expanduser()
    checkpoints.load(net, path)
    key = content_key(
        recipe={"net": recipe["net"], "weights": checkpoints.checksum(net)},
        data=bench.data,
        precision=bench.hardware.precision,
        net=net,
        teacher_key=None,
    )
    log.info("teacher: weights of %s, content key %s", path, key)
    checkpoints.save(net.eval(), bench.folder / "checkpoints" / "teacher.pt")
    return Trained(net, Fit("teacher", key, True, 0, 0.0, _parameters(net)), bench, [], [])


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
