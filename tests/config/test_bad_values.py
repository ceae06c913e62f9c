"""Values of another kind, without end or beyond memory, interpolations that lead nowhere: one line, with the key."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", ["+experiment=dark_knowledge", *overrides])


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(config(*overrides))
    return caught.value.problems


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["seed=${oops}"], "seed=${oops}: cannot be resolved: Interpolation key 'oops' not found"),
        (["name=${oc.env:NOPE}"], "name=${oc.env:NOPE}: cannot be resolved: Environment variable 'NOPE' not found"),
        (["student.seed=${student.seed}"], "student.seed=${student.seed}: refers to itself"),
        (["seed=${student.seed}"], "seed=${student.seed}: refers to itself"),
        (["seed=${foo:1}"], "seed=${foo:1}: cannot be resolved: Unsupported interpolation type foo"),
        (["~seed"], "seed: is missing"),
        (["~schedule"], "schedule: is missing"),
        (["~question"], "question: is missing"),
    ],
)
def test_a_key_without_a_value_is_told_once_where_it_was_given(overrides, problem):
    found = problems(*overrides)
    assert problem in found
    assert len(found) <= 3  # keys that refer to each other are all told


@pytest.mark.parametrize(
    "override",
    [
        "teacher.net.max_norm=inf", "optimizer.momentum=nan", "optimizer.weight_decay=inf", "optimizer.fused=nan",
        "comparison.dataset=nan", "data.val_size=-inf", "comparison.rows.0.source=nan",
    ],
)  # fmt: skip
def test_a_number_that_is_not_finite_is_refused_anywhere(override):
    assert problems(override) == [f"{override.replace('.rows.0.', '.rows[0].')}: must be finite"]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("optimizer.nesterov=no", "optimizer.nesterov=no: must be true or false"),
        ("optimizer.fused=abc", "optimizer.fused=abc: must be true or false or null"),
        ("student.net.widths=''", "student.net.widths='': must be a list of integers"),
        ("student.net.max_norm=true", "student.net.max_norm=true: must be a finite number above 0"),
        ("teacher.optimizer.momentum=big", "teacher.optimizer.momentum=big: must be a number"),
        ("augment@teacher.augment=none +teacher.augment.bogus=1",
         "teacher.augment.bogus=1: torch.nn.Identity has no arguments"),
        ("data.root=''", "data.root='': must be a folder's path, or null"),
        ("data._target_=os.getcwd", "data._target_=os.getcwd: posix.getcwd() takes no keyword arguments"),
        ("data._target_=torch.nn.Identity", "data._target_=torch.nn.Identity: makes a Identity; a kdlab.data."),
        ("optimizer._partial_=false", "optimizer._partial_=false: must be true, since it gets the network's weights"),
        ("store.folder=/etc/hostname/x", "store.folder=/etc/hostname/x: cannot be made: /etc/hostname is a file"),
        (f"store.folder={'x' * 300}", f"store.folder={'x' * 80}… (300 characters): cannot be a folder: File name too"),
        (f"teacher.checkpoint={'x' * 5000}", f"teacher.checkpoint={'x' * 80}… (5,000 characters): no such file"),
        (f"+arms={{{'x' * 300}: {{}}}}", f"arms.{'x' * 80}… (300 characters): an arm's name is made of"),
        ("data.batch_size=1" + 24 * "0", "data.batch_size=1" + 24 * "0" + ": integers end at 2⁶³ − 1"),
        ("data.passes_per_epoch=1" + 12 * "0", "data.passes_per_epoch=1" + 12 * "0" + ": the order of an epoch would"),
        ("student.net.widths=[1" + 12 * "0" + "]", "student.net.widths=[1" + 12 * "0" + "]: training the"),
        ("teacher.augment.pixels=3000", "teacher.augment.pixels=3000: must be less than the sides of the images, 28×"),
        ("comparison.rows=[{show: 5, arm: teacher, metric: errors}]", "comparison.rows[0].show=5: must be a text"),
        ("comparison.rows=[{show: x, arm: teacher, metric: errors, classes: []}]", "comparison.rows[0].classes=[]: mu"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_or_size_is_refused_under_its_key(override, problem):
    (found,) = problems(*override.split(" ") if override.startswith("augment@") else [override])
    assert found.startswith(problem)


def test_sizes_are_filled_in_at_any_depth_of_a_networks_config():
    flat = "{_target_: torch.nn.Flatten}"
    inner = "{_target_: kdlab.models.MLP, inputs: null, widths: [], outputs: null}"
    net = f"{{_target_: torch.nn.Sequential, _args_: [{{_target_: torch.nn.Sequential, _args_: [{inner}]}}, {flat}]}}"
    experiment = read(config(f"+arms.x.net={net}"))
    filled = experiment.recipes["x"].net["_args_"][0]["_args_"][0]
    assert (filled["inputs"], filled["outputs"]) == ([1, 28, 28], 10)
