"""One setting in every arm; how the arms' settings were chosen is recorded, checked, and told where it differs."""

import pytest
from hydra import compose, initialize_config_dir

from kdlab.claims.verdict import claims_in, judge
from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.config.tuning import reproduction_problems, tried_settings, tuning_problems
from kdlab.errors import ConfigError
from kdlab.report.claims import Judged, claim_lines
from kdlab.results import Fit, Results, Row


def experiment(*overrides: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(compose("train", ["+experiment=blobs_targets", *overrides]))


def test_every_arm_sets_a_value_in_all_arms_over_what_they_have_of_their_own_and_not_in_the_teacher():
    own = experiment("+every_arm.optimizer.lr=0.25", "+every_arm.loss.temperature=3")
    arms = {name: recipe for name, recipe in own.recipes.items() if name != "teacher"}
    assert {recipe.optimizer["lr"] for recipe in arms.values()} == {0.25}
    assert arms["bayes_soft"].loss["temperature"] == 3  # which has its own
    assert own.recipes["teacher"].optimizer["lr"] != 0.25


TUNING = {"settings": {"optimizer.lr": [0.01, 0.1, 1], "max_epochs": [5, 10]}, "seeds": [100]}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("+every_arm.optimizer.lr=-1", "every_arm.optimizer.lr=-1: must be a finite number above 0"),
        ("+every_arm.width=3", "every_arm.width: no such key in the student's recipe"),
        ("every_arm=3", "every_arm=3: must be a mapping"),
        ("+every_arm.max_epochs=0", "every_arm.max_epochs=0: must be an integer of at least 1"),
        ("+every_arm.teacher=nobody", "every_arm.teacher=nobody: no such fit"),
    ],
)
def test_a_wrong_value_for_every_arm_is_refused_once_by_the_key_that_was_typed(override, problem):
    with pytest.raises(ConfigError) as caught:
        experiment(override)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("tuning", "problem"),
    [
        (3, "tuning=3: must be null, or a mapping"),
        ({"settings": {"optimizer.lr": [0.1]}}, "tuning.seeds: is missing"),
        ({"settings": {}, "seeds": [1]}, "tuning.settings={}: must be the candidates"),
        ({"settings": {"optimizer.lr": 0.1}, "seeds": [1]}, "tuning.settings="),
        (TUNING | {"own": [1]}, "tuning.own=[1]: must be the candidates by the arm's keys, for each of some arms"),
        (TUNING | {"own": {"gone": {"loss.alpha": [1]}}}, "tuning.own.gone: no such arm"),
        ({"settings": {"optimizer.lr": [0.1]}, "seeds": []}, "tuning.seeds=[]: must be a list of seeds"),
        ({"settings": {"optimizer.lr": [0.1]}, "seeds": [1], "arms": "x"}, "tuning.arms=x: must be a list"),
        ({"settings": {"optimizer.lr": [0.1]}, "seeds": [1], "more": "x"}, "tuning.more=x: must be a list"),
        ({"settings": {"optimizer.lr": [0.1]}, "seeds": [1], "key": 1}, "tuning.key: no such key"),
        (
            {"settings": {"optimizer.lr": [0.1]}, "seeds": [1], "exceptions": ["kd"]},
            "tuning.exceptions=['kd']: must",
        ),
    ],
)
def test_a_wrong_record_of_tuning_is_refused_by_its_key(tuning, problem):
    found = [*tuning_problems(tuning, {})]
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_another_optimizer_than_the_one_that_the_arms_rates_were_chosen_for_is_refused_without_a_rate_for_all():
    with pytest.raises(ConfigError) as caught:
        experiment("optimizer=sgd")
    assert caught.value.problems == [
        "optimizer._target_=torch.optim.SGD: the arms' optimizer.lr were chosen for torch.optim.Adam (tuning.about); "
        "give all arms one for this, +every_arm.optimizer.lr=…"
    ]
    assert experiment("optimizer=sgd", "+every_arm.optimizer.lr=0.1").recipes["truth"].optimizer["lr"] == 0.1


def test_what_an_arm_takes_over_from_the_students_recipe_is_told_once():
    with pytest.raises(ConfigError) as caught:
        experiment("optimizer.weight_decay=-1")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("optimizer.weight_decay=-1: ")


@pytest.mark.parametrize(
    ("reproduction", "problem"),
    [
        ("5", "reproduction=5: must be null, or a mapping"),
        ({"seeds": 0, "hours": 1}, "reproduction.seeds=0: must be an integer of at least 1"),
        ({"seeds": 5, "hours": 0}, "reproduction.hours=0: must be a finite number above 0"),
        ({"seeds": 5}, "reproduction.hours: is missing"),
        ({"seeds": 5, "hours": 1, "grid": 3}, "reproduction.grid=3: must be a mapping"),
        ({"seeds": 5, "hours": 1, "grid": {"key": "seed"}}, "reproduction.grid.values: is missing"),
        ({"seeds": 5, "hours": 1, "more": [1]}, "reproduction.more=[1]: must be a list"),
    ],
)
def test_a_wrong_record_of_the_reproduction_is_refused_by_its_key(reproduction, problem):
    found = [*reproduction_problems(reproduction)]
    assert len(found) == 1
    assert found[0].startswith(problem)


def results(seed: int, tuning: dict | None) -> Results:
    rows = [Row(arm, "test", "all", "none", "accuracy", 0.9 + 0.001 * seed, 1000) for arm in ("teacher", "plain", "kd")]
    claims = [
        {
            "say": f"{one} beats {two}", "value": {"arm": one, "metric": "accuracy"},
            "minus": {"arm": two, "metric": "accuracy"}, "at_least": -0.1,
        }
        for one, two in (("kd", "plain"), ("kd", "teacher"))
    ]  # fmt: skip
    config = {"arms": {"plain": None, "kd": None}, "tuning": tuning, "claims": claims}
    fits = [Fit(arm, f"{arm}{seed}", False, 1, 1.0, 1) for arm in ("teacher", "plain", "kd")]
    return Results("x", "digits", seed, [], config, {}, fits, rows)


@pytest.mark.parametrize(
    ("tuning", "tried"),
    [
        (None, (1, 1)),
        (TUNING, (6, 6)),
        (TUNING | {"arms": []}, (1, 1)),  # still to be done
        (TUNING | {"arms": ["kd"]}, (1, 6)),
        (TUNING | {"arms": ["plain", "kd"]}, (6, 6)),
        (TUNING | {"own": {"kd": {"loss.alpha": [0, 0.5, 1]}}}, (6, 3)),
    ],
)
def test_a_claim_says_where_its_two_students_were_chosen_among_different_numbers_of_settings(tuning, tried):
    runs = [results(seed, tuning) for seed in range(3)]
    assert tuple(tried_settings(runs[0].config, arm) for arm in ("plain", "kd")) == tried
    between_students, against_the_teacher = (judge(claim, runs) for claim in claims_in(runs[0]))
    assert dict(between_students.tried) == ({} if tried[0] == tried[1] else {"kd": tried[1], "plain": tried[0]})
    assert against_the_teacher.tried == ()
    (line,) = claim_lines([Judged(between_students, {}, "")])
    assert ("unequally tuned: the settings of kd of 6, plain of 1 that were tried" in line) == (tried == (1, 6))
