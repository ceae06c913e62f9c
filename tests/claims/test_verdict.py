"""Verdicts: what holds, what is refuted, what is open, what is one draw, and what the samples of one draw say."""

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

from kdlab.claims.draws import Crossed, over_draws
from kdlab.claims.statistics import mcnemar, mean_interval, wilson
from kdlab.claims.verdict import Verdict, claims_in, judge
from kdlab.report.claims import Judged, claim_lines
from kdlab.results import Disagreement, Fit, InvalidResults, Results, Row

N = 1000
DISTILLED = {"arm": "distilled", "metric": "accuracy"}
BASELINE = {"arm": "baseline", "metric": "accuracy"}


def run(seed: int, *claims: dict, disagreements=(), **errors: int) -> Results:
    """Return the results of a run whose arms make so many errors of 1,000."""
    rows = [
        row
        for arm, count in errors.items()
        for row in (
            Row(arm, "test", "all", "none", "accuracy", 1 - count / N, N),
            Row(arm, "test", "all", "none", "errors", count, N),
        )
    ]
    config = {
        "arms": {"baseline": None, "distilled": None, "permuted": None},
        "claims": [{"say": "So it is", **it} for it in claims],
    }
    fits = [Fit(arm, f"{arm}{seed}", False, 1, 1.0, 1) for arm in errors]
    return Results("x", "digits", seed, [], config, {}, fits, rows, disagreements=list(disagreements))


def verdict(claim: dict, *errors: dict[str, int]):
    runs = [run(seed, claim, **of_arms) for seed, of_arms in enumerate(errors)]
    return judge(claims_in(runs[0])[0], runs)


def distilled(*errors: int) -> list[dict[str, int]]:
    return [{"distilled": count} for count in errors]


@pytest.mark.parametrize(
    ("bound", "errors", "word"),
    [
        ({"at_least": 0.9}, (30, 40, 35), "holds"),
        ({"at_least": 0.99}, (30, 40, 35), "refuted"),  # false by construction
        ({"at_least": 0.965}, (30, 40, 35), "open"),
        ({"at_most": 0.99}, (30, 40, 35), "holds"),
        ({"at_most": 0.9}, (30, 40, 35), "refuted"),
        ({"between": [0.9, 0.99]}, (30, 40, 35), "holds"),
        ({"between": [0.5, 0.6]}, (30, 40, 35), "refuted"),
        ({"between": [0.98, 0.99]}, (30, 40, 35), "refuted"),
        ({"between": [0.965, 0.99]}, (30, 40, 35), "open"),
        ({"at_least": 0.9}, (20, 50), "open"),  # two seeds that differ decide little
        ({"at_least": 0.97}, (30, 30), "holds"),  # equal values, on the bound
        ({"at_most": 0.97}, (30, 30), "holds"),
        ({"at_least": 0.98}, (30, 30), "refuted"),
        ({"at_least": 0.1}, (30,), "one draw"),
        ({"at_least": 0.1}, (), "open"),
    ],
)  # fmt: skip
def test_a_claim_holds_or_is_refuted_where_the_interval_lies_on_one_side_of_the_bound(bound, errors, word):
    claim = {"value": DISTILLED, **bound}
    assert judge(claims_in(run(0, claim))[0], [run(i, distilled=e) for i, e in enumerate(errors)]).word == word


def test_a_difference_is_paired_by_seed():
    rng = random.Random(0)
    errors = [{"baseline": (hard := rng.randint(0, 500)) + 20 + seed % 2, "distilled": hard} for seed in range(5)]
    gain = {"value": DISTILLED, "minus": BASELINE, "at_least": 0.015}
    found = verdict(gain, *errors)
    assert (found.word, found.n) == ("holds", 5)
    assert found.interval.mean == pytest.approx(0.0204)
    alone = verdict({"value": DISTILLED, "at_least": 0.5}, *errors)
    assert alone.interval.high - alone.interval.low > 100 * (found.interval.high - found.interval.low)


def test_a_share_is_one_difference_over_another_paired_by_seed():
    share = {
        "value": DISTILLED | {"arm": "permuted"}, "minus": BASELINE, "share_of": ["distilled", "baseline"],
        "at_most": 0.5,
    }  # fmt: skip
    errors = [
        {"baseline": 500 + 50 * seed, "permuted": 450 + 50 * seed, "distilled": 300 + 50 * seed} for seed in range(3)
    ]
    found = verdict(share, *errors)
    assert (found.word, found.n) == ("holds", 3)
    assert tuple(found.interval) == pytest.approx((0.25, 0.25, 0.25))
    (line,) = claim_lines([Judged(found, {}, "")])
    assert line == "holds: So it is: 25.00 % [25.00 to 25.00 %], n = 3 (must be at most 50 %)"
    assert "permuted or baseline or distilled" in _about(verdict(share, *errors, {"distilled": 300, "baseline": 500}))


def _about(found) -> str:
    return next(claim_lines([Judged(found, {}, "")]))


def test_there_is_no_share_of_a_gain_that_is_no_gain():
    share = {"value": DISTILLED, "minus": BASELINE, "share_of": ["distilled", "baseline"], "at_least": 0}
    found = verdict(share, {"baseline": 305, "distilled": 300}, {"baseline": 400, "distilled": 300})
    assert (found.n, found.missing, found.interval.mean) == (1, ("0",), pytest.approx(1))


def test_a_seed_without_a_value_of_one_arm_is_left_out_and_said():
    claim = {"value": DISTILLED, "minus": BASELINE, "at_least": 0}
    both = {"distilled": 30, "baseline": 60}
    found = verdict(claim, both, {"distilled": 20}, both)
    assert (found.n, found.missing, found.word) == (2, ("1",), "holds")
    nothing = verdict(claim, {"distilled": 20}, {"baseline": 20})
    assert (nothing.n, nothing.missing, nothing.word) == (0, ("0", "1"), "open")
    assert math.isnan(nothing.interval.mean)
    assert "no run has a value of distilled and baseline: it was not measured, or the fit failed" in told(nothing)


def test_runs_with_the_same_fits_are_one_draw():
    claim = {"value": DISTILLED, "at_least": 0.1}
    same = [run(0, claim, distilled=30), run(0, claim, distilled=30)]
    found = judge(claims_in(same[0])[0], same)
    assert (found.word, found.n) == ("one draw", 1)


def told(found: Verdict) -> str:
    return "".join(claim_lines([Judged(found, {}, "")]))


def crossed(claim: dict, errors: dict[tuple[int, int], int], key: str = "teacher") -> list[Results]:
    """Return the runs of a grid of two seeds: the first is `key`.seed, the second the student's."""
    runs = []
    for (first, second), count in errors.items():
        it = run(0, claim, distilled=count)
        it.config.update({key: {"seed": first}, "student": {"seed": second}})
        it.fits[0] = Fit("distilled", f"{first} {second}", False, 1, 1.0, 1)
        runs.append(it)
    return runs


def test_students_of_two_teachers_are_two_draws_however_many_they_are():
    claim = {"value": DISTILLED, "at_least": 0.9}
    errors = {(teacher, student): 20 + 60 * teacher for teacher in (0, 1) for student in range(8)}
    runs = crossed(claim, errors)
    found = judge(claims_in(runs[0])[0], runs)
    assert mean_interval([1 - count / N for count in errors.values()]).low > 0.9  # 16 draws would have decided
    assert (found.word, found.n, found.crossed) == ("open", 2, Crossed(("teacher.seed", "student.seed"), 16))
    assert found.interval == pytest.approx(mean_interval([0.98, 0.92]))
    assert "16 runs that cross teacher.seed and student.seed are no more than 2 draws" in told(found)


@pytest.mark.parametrize(("of_first", "of_second"), [(1, 1), (2, 1), (1, 0), (0, 1)])
def test_in_2000_grids_of_seeds_the_interval_covers_the_truth_in_93_per_cent_or_more(of_first, of_second):
    generator = random.Random(0)
    pairs = [(first, second) for first in range(3) for second in range(5)]
    runs: list[Any] = [SimpleNamespace(seed=0, config={"a": {"seed": i}, "b": {"seed": j}}) for i, j in pairs]
    covered = 0
    for _ in range(2000):
        first = [generator.gauss(0, of_first) for _ in range(3)]
        second = [generator.gauss(0, of_second) for _ in range(5)]
        values = [first[i] + second[j] + generator.gauss(0, 0.5) for i, j in pairs]
        interval, n, _ = over_draws(runs, values)
        covered += interval.low <= 0 <= interval.high
        assert n == 3
    assert covered / 2000 >= 0.93


def test_a_seed_that_is_the_same_in_all_runs_shares_nothing():
    claim = {"value": DISTILLED, "at_least": 0.9}
    runs = crossed(claim, {(0, student): 20 + student for student in range(4)})
    found = judge(claims_in(runs[0])[0], runs)
    assert (found.n, found.crossed) == (4, None)


def test_a_run_without_a_value_is_named_by_the_seed_that_tells_it_from_the_others():
    claim = {"value": DISTILLED, "minus": BASELINE, "at_least": 0}
    runs = [run(0, claim, distilled=20, **({"baseline": 30} if split % 2 else {})) for split in range(4)]
    for split, it in enumerate(runs):
        it.config["data"] = {"split_seed": split}
        it.fits[:] = [Fit(fit.arm, f"{fit.arm} {split}", False, 1, 1.0, 1) for fit in it.fits]
    found = judge(claims_in(runs[0])[0], runs)
    assert (found.n, found.missing) == (2, ("data.split_seed=0", "data.split_seed=2"))
    assert "at data.split_seed=0, data.split_seed=2" in told(found)


def test_other_samples_are_another_draw_of_the_bayes_rule():
    claim = {"value": {"arm": "bayes", "metric": "accuracy"}, "at_least": 0.5}
    runs = [run(0, claim, bayes=count) for count in (20, 30, 30)]
    for it, seed in zip(runs, (0, 1, 1), strict=True):
        it.config["data"] = {"sample_seed": seed}
        it.fits.clear()
    found = judge(claims_in(runs[0])[0], runs)
    assert found.n == 2


def test_beside_one_draw_stands_wilsons_interval_in_the_metrics_units():
    share = wilson(970, N)
    assert verdict({"value": DISTILLED, "at_least": 0.9}, *distilled(30)).samples == share
    errors = verdict({"value": DISTILLED | {"metric": "errors"}, "at_most": 9}, *distilled(30)).samples
    assert errors == pytest.approx((30, N * (1 - share.high), N * (1 - share.low)))
    right = verdict({"value": DISTILLED | {"metric": "correct"}, "at_most": 9}, *distilled(30)).samples
    assert right == pytest.approx([N * end for end in share])
    assert verdict({"value": DISTILLED, "at_least": 0.9}, *distilled(30, 31)).samples is None


def test_beside_one_draw_of_a_difference_stands_mcnemars_test_where_the_samples_were_compared():
    claim = {"value": DISTILLED, "minus": BASELINE, "at_least": 0}
    counts = Disagreement("test", "all", ("distilled", "none"), ("baseline", "none"), 40, 10)
    other = Disagreement("test", "all", ("distilled", "prior"), ("baseline", "none"), 1, 1)
    of_run = run(0, claim, distilled=30, baseline=60, disagreements=[other, counts])
    assert judge(claims_in(of_run)[0], [of_run]).test == (40, 10, mcnemar(40, 10))
    without = run(0, claim, distilled=30, baseline=60)
    assert judge(claims_in(without)[0], [without]).test is None


def test_results_of_an_earlier_kdlab_have_no_claims_and_edited_ones_are_refused():
    earlier = run(0, distilled=1)
    del earlier.config["claims"]
    assert claims_in(earlier) == ()
    with pytest.raises(InvalidResults, match=r"claims\[0\]\.value: is missing"):
        claims_in(run(0, {"at_least": 1}, distilled=1))
