"""Fits as a graph: arms that teach arms, further teachers, and what is refused, by overrides alone."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from msgspec.structs import replace
from omegaconf import DictConfig, OmegaConf

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.config.recipes import generations
from kdlab.errors import ConfigError
from kdlab.fits.context import Context
from kdlab.fits.plan import plan_fits
from kdlab.hardware import Hardware
from kdlab.pipeline import run
from kdlab.results import Fit, Results

SMALL = [
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "trainer.precision=32-true", "figures=false",
    "model@teacher.net=mlp_64", "model@student.net=mlp_64", "augment@teacher.augment=none", "teacher.max_epochs=2",
    "student.max_epochs=2",
]  # fmt: skip
BORN_AGAIN = [
    "+arms.second.teacher=distilled", "+arms.second.seed=1", "+arms.third.teacher=second", "+arms.third.seed=2",
]  # fmt: skip
OTHER = ["+teachers.other.seed=7", "+arms.of_other.teacher=other"]


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


def go(folder: Path, *overrides: str) -> Results:
    folder.mkdir()
    store = folder.parent / "store"
    return run(composed(f"store.folder={store}", *overrides), folder)[0]


def fits(results: Results) -> dict[str, Fit]:
    return {fit.arm: fit for fit in results.fits}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("graph")
    return folder, go(folder / "run", *BORN_AGAIN, *OTHER)


def test_three_generations_and_a_second_teacher_are_trained_each_after_its_teacher(family):
    folder, results = family
    assert list(fits(results)) == ["teacher", "other", "baseline", "distilled", "second", "third", "of_other"]
    assert {name: fit.teacher for name, fit in fits(results).items()} == {
        "teacher": None, "other": None, "baseline": "teacher", "distilled": "teacher", "second": "distilled",
        "third": "second", "of_other": "other",
    }  # fmt: skip
    assert len({fit.key for fit in results.fits}) == 7
    assert all((folder / "run" / "checkpoints" / f"{name}.pt").is_file() for name in fits(results))


def test_every_student_agrees_with_its_own_teacher_as_a_direct_comparison_says(family, tmp_path):
    """The distilled student as the teacher of nobody: its agreement is with `teacher`, that of `second` with it."""
    folder, results = family
    shares = {arm: results.find(arm, "all", "agreement").value for arm in fits(results)}
    assert shares["teacher"] == 1.0
    assert shares["other"] < 1.0  # compared with the first teacher
    alone = go(folder / "alone", "+arms.second.teacher=teacher", "+arms.second.seed=1")
    assert fits(alone)["second"].key != fits(results)["second"].key
    assert alone.find("distilled", "all", "agreement") == results.find("distilled", "all", "agreement")


def test_a_change_in_one_generation_changes_the_keys_of_those_that_descend_from_it(family):
    folder, results = family
    changed = go(folder / "changed", *BORN_AGAIN, *OTHER, "+arms.second.max_epochs=1")
    differing = {name for name, fit in fits(results).items() if fits(changed)[name].key != fit.key}
    assert differing == {"second", "third"}
    assert [fit.arm for fit in changed.fits if not fit.reused] == ["second", "third"]


def test_a_chain_is_taken_from_the_store_and_finds_the_same(family):
    folder, results = family
    again = go(folder / "again", *BORN_AGAIN, *OTHER)
    assert all(fit.reused for fit in again.fits)
    assert again.rows == results.rows
    assert [replace(fit, reused=False) for fit in again.fits] == results.fits


def test_students_of_one_generation_start_alike_and_none_from_its_teachers_initial_weights():
    again = ["+arms.second.teacher=distilled", "+arms.sibling.teacher=distilled", "+arms.third.teacher=second"]
    experiment = read(composed(*again))
    experiment.data.setup()
    plans = plan_fits(experiment.recipes, Context(experiment.data, Hardware(torch.device("cpu"), "32-true"), Path()))
    start = {name: torch.cat([p.detach().flatten() for p in plan.net.parameters()]) for name, plan in plans.items()}
    assert torch.equal(start["baseline"], start["distilled"])
    assert torch.equal(start["second"], start["sibling"])
    for student, teacher in (("distilled", "teacher"), ("second", "distilled"), ("third", "second")):
        assert not torch.equal(start[student], start[teacher]), student


def test_the_order_of_the_config_is_that_of_the_results_not_that_of_the_training(tmp_path):
    results = go(tmp_path / "run", "arms.baseline.targets=teacher_soft", "+arms.baseline.teacher=distilled")
    assert [fit.arm for fit in results.fits] == ["teacher", "baseline", "distilled"]
    assert fits(results)["baseline"].teacher == "distilled"


def test_fits_that_need_nothing_of_each_other_are_in_one_generation():
    recipes = read(composed(*BORN_AGAIN, *OTHER)).recipes
    assert generations(recipes) == [["teacher", "other"], ["baseline", "distilled", "of_other"], ["second"], ["third"]]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["+arms.a.teacher=b", "+arms.b.teacher=a"],
            "arms.a: fits that need each other in a circle, a → b → a",
        ),
        (["+arms.a.teacher=a"], "arms.a: fits that need each other in a circle, a → a"),
        (["+arms.a.teacher=nobody"], "arms.a.teacher=nobody: no such fit; there are teacher, baseline, distilled, a"),
        (["student.teacher=null"], "student.teacher=null: no such fit; there are teacher, baseline, distilled"),
        (
            ["student.teacher=[teacher,other]", "+teachers.other.seed=1"],
            "student.teacher=['teacher', 'other']: name one fit; several teachers at once are not built yet",
        ),
        (["+teachers.baseline.seed=1"], "arms.baseline: a teacher has this name too; rename one of them"),
        (["+teachers.other.seed=x"], "teachers.other.seed=x: must be an integer of at least 0"),
        (
            ["+teachers.other.targets=truth"],
            "teachers.other.targets: no such key in the teacher's recipe; there are augment, batch_size, checkpoint, "
            "logits, max_epochs, net, new_head, optimizer, patience, schedule, seed",
        ),
        (["+teachers.other=3"], "teachers.other=3: must be a mapping"),
        (["teachers=null"], "teachers=null: must be a mapping"),
    ],
)
def test_a_graph_that_cannot_be_walked_is_refused_before_anything_is_trained(overrides, problem):
    with pytest.raises(ConfigError) as caught:
        read(composed(*overrides))
    assert caught.value.problems == [problem]


def test_a_run_is_read_into_plain_values_no_config_object_is_left_in_it():
    experiment = read(composed(*BORN_AGAIN, *OTHER))
    seen: set[int] = set()

    def walk(value: object) -> None:
        assert not OmegaConf.is_config(value)
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        elif type(value).__module__.startswith("kdlab"):
            walk(vars(value))

    walk(experiment)
    assert len(seen) > 100


ON = ["+arms.on.start=baseline", "+arms.on.targets=truth", "+arms.soft.start=baseline"]


def weights_of(folder: Path, arm: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / f"{arm}.pt", weights_only=True)


def far(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def test_an_arm_that_starts_from_another_begins_with_its_weights_alone_and_in_a_stack(tmp_path):
    still = [f"+arms.{arm}.optimizer.lr=1e-12" for arm in ("on", "soft")]
    go(tmp_path / "still", *ON, *still)
    baseline = weights_of(tmp_path / "still", "baseline")
    assert all(far(weights_of(tmp_path / "still", arm), baseline) < 1e-6 for arm in ("on", "soft"))
    stacked = go(tmp_path / "stacked", *ON)
    assert {fits(stacked)[arm].stack for arm in ("on", "soft")} == {2}
    alone = run(composed("store=off", "trainer.stack=off", *ON), tmp_path / "alone")[0]
    assert {fit.stack for fit in alone.fits} == {1}
    for arm in ("on", "soft"):
        assert far(weights_of(tmp_path / "stacked", arm), weights_of(tmp_path / "alone", arm)) < 1e-4
        assert far(weights_of(tmp_path / "stacked", arm), baseline) > 1e-3


def test_the_key_of_an_arm_that_starts_from_another_changes_with_the_others(tmp_path):
    def keys(*overrides: str) -> dict[str, str]:
        experiment = read(composed("store=off", *overrides))
        experiment.data.prepare_data()
        experiment.data.setup()
        context = Context(experiment.data, Hardware(torch.device("cpu"), "32-true"), tmp_path)
        return {name: plan.key for name, plan in plan_fits(experiment.recipes, context).items()}

    first, second = keys(*ON), keys(*ON, "+arms.baseline.max_epochs=1")
    assert {name for name in first if first[name] != second[name]} == {"baseline", "on", "soft"}
    fresh = keys("+arms.on.targets=truth")
    assert fresh["on"] != first["on"]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["+arms.on.start=nobody"], "arms.on.start=nobody: no such fit; there are teacher"),
        (["+arms.on.start=3"], "arms.on.start=3: no such fit"),
        (
            ["+arms.on.start=baseline", "+model@arms.on.net=mlp_30"],
            "arms.on.start=baseline: its network is another one",
        ),
        (["+arms.on.start=on"], "arms.on: fits that need each other in a circle"),
        (["+arms.on.start=soft", "+arms.soft.start=on"], "arms.on: fits that need each other in a circle"),
    ],
)
def test_a_start_that_is_no_fit_of_the_same_network_is_refused(overrides, problem):
    with pytest.raises(ConfigError) as caught:
        read(composed(*overrides))
    assert [line for line in caught.value.problems if line.startswith(problem)]
