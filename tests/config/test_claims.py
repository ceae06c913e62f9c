"""What is wrong with an experiment's claims is said before anything is read, with key, value and remedy."""

import pytest
from hydra import compose, initialize_config_dir

from kdlab.config.claims import Claim, Selection
from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError

VALUE = "value: {arm: distilled, metric: accuracy}"
MINUS = "minus: {arm: baseline, metric: accuracy}"


def experiment(*overrides: str, name: str = "dark_knowledge"):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return read(compose("train", [f"+experiment={name}", "data=digits", "trainer=cpu", *overrides]))


def claimed(text: str, *overrides: str):
    return experiment(f"claims=[{{say: so it is, {text}}}]", *overrides).claims


def test_a_claim_is_read_with_its_defaults():
    (claim,) = claimed(f"{VALUE}, minus: {{arm: baseline, metric: accuracy, classes: [1, 2]}}, at_least: 0.5")
    value = Selection(arm="distilled", metric="accuracy", classes=("all",), split="test", correction="none")
    minus = Selection(arm="baseline", metric="accuracy", classes=("1", "2"), split="test", correction="none")
    assert claim == Claim(say="so it is", value=value, minus=minus, share_of=None, low=0.5, high=None, source=None)
    (claim,) = claimed(f"{VALUE}, between: [0.1, 0.2], source: someone")
    assert (claim.low, claim.high, claim.source) == (0.1, 0.2, "someone")
    (claim,) = claimed(f"{VALUE}, {MINUS}, share_of: [teacher, baseline], at_least: -3")
    assert [it.arm for it in claim.share_of] == ["teacher", "baseline"]
    assert {it.metric for it in claim.share_of} == {"accuracy"}
    assert claim.arms == ("distilled", "baseline", "teacher")


BOUND = "at_least: 0.5"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"value: {{arm: gone, metric: accuracy}}, {BOUND}", "claims[0].value.arm=gone: no such arm; there are "
         "teacher, baseline, distilled, bayes (claims=[] drops all claims)"),
        (f"{VALUE}, minus: {{arm: gone, metric: accuracy}}, {BOUND}", "claims[0].minus.arm=gone: no such arm"),
        (f"value: {{arm: distilled, metric: acc}}, {BOUND}", "claims[0].value.metric=acc: must be one of accuracy"),
        (f"value: {{arm: distilled, metric: accuracy, split: tset}}, {BOUND}", "claims[0].value.split=tset: must be"),
        (f"value: {{arm: distilled, metric: accuracy, correction: priro}}, {BOUND}", "claims[0].value.correction=priro:"
         " must be one of none, prior, oracle"),
        (f"value: {{arm: distilled, metric: accuracy, classes: sen}}, {BOUND}", "claims[0].value.classes=sen: must be "
         "all, seen, unseen, a class's index, or a list of these"),
        (f"value: {{arm: distilled, metric: accuracy, classes: []}}, {BOUND}", "claims[0].value.classes=[]: must be"),
        (f"value: {{arm: distilled, metric: accuracy, classes: 10}}, {BOUND}", "claims[0].value.classes=10: no such "
         "class; digits has 0 to 9"),
        (f"value: {{arm: distilled, metric: accuracy, klass: 3}}, {BOUND}", "claims[0].value.klass: no such key; there "
         "are arm, metric, split, classes, correction"),
        (f"value: distilled, {BOUND}", "claims[0].value=distilled: must be a mapping with the keys arm, metric"),
        (BOUND, "claims[0].value: is missing"),
        (VALUE, "claims[0]: must have one bound, at_least, at_most or between: [low, high]; it has none"),
        (f"{VALUE}, at_least: 0.9, at_most: 0.1", "claims[0]: must have one bound, at_least, at_most or between: [low, "
         "high]; it has at_least and at_most"),
        (f"{VALUE}, between: [0.9, 0.1]", "claims[0].between=[0.9, 0.1]: must be two finite numbers, [low, high] with "
         "low < high"),
        (f"{VALUE}, between: 0.9", "claims[0].between=0.9: must be two finite numbers"),
        (f"{VALUE}, between: [0.1, x]", "claims[0].between=[0.1, 'x']: must be two finite numbers"),
        (f"{VALUE}, at_least: nan", "claims[0].at_least=nan: must be finite"),
        (f"{VALUE}, at_most: inf", "claims[0].at_most=inf: must be finite"),
        (f"{VALUE}, at_least: [1, 2]", "claims[0].at_least=[1, 2]: must be a finite number"),
        (f"{VALUE}, at_least: high", "claims[0].at_least=high: must be a finite number"),
        (f"{VALUE}, at_least: 85", "claims[0].at_least=85: accuracy lies in [0, 1]; 85 % is 0.85"),
        (f"{VALUE}, minus: {{arm: baseline, metric: accuracy}}, at_least: -2", "claims[0].at_least=-2: a difference of "
         "accuracy lies in [-1, 1]; 85 % is 0.85"),
        (f"{VALUE}, minus: {{arm: baseline, metric: errors}}, {BOUND}", "claims[0].minus.metric=errors: must be that "
         "of claims[0].value, accuracy"),
        (f"{VALUE}, {MINUS}, share_of: [gone, baseline], {BOUND}", "claims[0].share_of=gone: no such arm; there are"),
        (f"{VALUE}, {MINUS}, share_of: [distilled], {BOUND}", "claims[0].share_of=['distilled']: must be two arms"),
        (f"{VALUE}, {MINUS}, share_of: [baseline, baseline], {BOUND}", "claims[0].share_of=['baseline', 'baseline']: "
         "must be two different arms"),
        (f"{VALUE}, share_of: [distilled, baseline], {BOUND}", "claims[0].share_of=['distilled', 'baseline']: needs "
         "`minus`"),
        (f"{VALUE}, {BOUND}, becuase: x", "claims[0].becuase: no such key; there are say, value, minus, share_of"),
        (f"{VALUE}, {BOUND}, source: 5", "claims[0].source=5: must be a text, or left out"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_refused_by_its_key(text, problem):
    with pytest.raises(ConfigError) as caught:
        claimed(text)
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("claims", ["claims=null", "claims=3", "claims=[3]"])
def test_what_is_no_list_of_claims_is_refused(claims):
    with pytest.raises(ConfigError, match=r"claims(\[0\])?=.*must be a"):
        experiment(claims)


def test_an_arm_that_the_comparison_names_may_be_taken_out_of_the_experiment():
    assert experiment("~arms.baseline").claims == experiment().claims
