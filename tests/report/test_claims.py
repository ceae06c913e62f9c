"""Verdicts where one sees them: at each setting of a sweep, in tables, files, sentences and pages."""

import csv

import pandas as pd
import pytest
from msgspec.structs import replace

from kdlab.report.claims import bound, claim_lines, claims_frame, claims_table, judged_run
from kdlab.report.collection import collect
from kdlab.report.sweep import write_report
from kdlab.report.sweep_table import markdown
from kdlab.results import read, write

DISTILLED = {"arm": "distilled", "metric": "accuracy", "classes": "unseen"}
BASELINE = {"arm": "baseline", "metric": "accuracy", "classes": "unseen"}
CLAIMS = [
    {"say": "Distilled is good", "value": DISTILLED, "at_least": 0.6, "source": "someone 2015"},
    {"say": "Labels do nothing", "value": BASELINE, "at_most": 0.5},
    {"say": "Distilled is better", "value": DISTILLED, "minus": BASELINE, "at_least": 0},
    {"say": "The teacher is best", "value": DISTILLED | {"arm": "teacher"}, "at_least": 0.9},
]


def claim(folder, claims):
    """Let all runs below the folder make these claims."""
    for path in folder.rglob("results.json"):
        found = read(path)
        arms = dict.fromkeys(("baseline", "distilled"))
        write(replace(found, config=found.config | {"claims": claims, "arms": arms}), path)
    return collect([folder])


def test_each_claim_is_judged_at_each_setting_that_matters_to_its_arms_over_the_seeds(grid):
    frame = claims_frame(claim(grid, CLAIMS).claims)
    assert list(frame["claim"].value_counts(sort=False)) == [12, 2, 12, 1]
    (line,) = frame[frame["claim"] == "The teacher is best"].to_dict("records")
    assert (line["verdict"], line["mean"], line["low"], line["high"], line["n"]) == ("holds", 0.99, 0.99, 0.99, 2)
    labels = frame[frame["claim"] == "Labels do nothing"]
    assert list(labels["optimizer.lr"]) == ["0.01", "0.1"]
    assert list(labels["verdict"]) == ["refuted", "refuted"]
    good = frame[frame["claim"] == "Distilled is good"]
    place = "`loss.temperature` == '4' and `loss.alpha` == '0.9' and `optimizer.lr` == '0.1'"
    (one,) = good.query(place).to_dict("records")
    assert (one["mean"], one["n"], one["verdict"]) == (pytest.approx(0.869), 2, "holds")
    assert one["high"] - one["low"] == pytest.approx(2 * 12.7062 * 0.01)  # half the difference of the two seeds


def test_a_seed_that_lacks_an_arm_is_named(grid):
    collection = claim(grid, CLAIMS)
    lacking = next(run for run in collection.runs if run.results.seed == 1)
    rows = [row for row in lacking.results.rows if row.arm != "distilled"]
    fits = [fit for fit in lacking.results.fits if fit.arm != "distilled"]
    write(replace(lacking.results, rows=rows, fits=fits, failed={"distilled": "diverged"}),
          lacking.folder / "results.json")  # fmt: skip
    frame = claims_frame(collect([grid]).claims).query("claim == 'Distilled is good'")
    assert list(frame["missing_seeds"]) == ["1", *[""] * 11]
    assert list(frame["n"]) == [1, *[2] * 11]
    assert list(frame["verdict"]) == ["one draw", *["holds"] * 11]
    assert "no value of distilled at seed 1" in claims_table(collect([grid]).claims).rows[0][0]


def test_runs_of_different_claims_are_not_mixed(grid):
    claim(grid, CLAIMS)
    frame = claims_frame(claim(grid / "0", CLAIMS[3:]).claims)
    assert list(frame["claim"]) == ["The teacher is best"]
    frame = claims_frame(collect([grid]).claims)
    assert list(frame.query("claim == 'The teacher is best'")["n"]) == [2]
    good = frame.query("claim == 'Distilled is good' and `loss.temperature` == '1'")
    assert sorted(good["n"]) == [1, 2, 2, 2]


def test_the_verdicts_stand_in_the_reports_files_and_are_replaced(grid):
    write_report(claim(grid, CLAIMS), grid)
    with (grid / "report" / "claims.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 27
    assert lines[0]["claim"] == "Distilled is good"
    assert (lines[0]["bound"], lines[0]["loss.temperature"], lines[0]["n"]) == ("at least 60 %", "1", "2")
    assert (lines[0]["p"], lines[0]["missing_seeds"]) == ("", "")
    page, text = (grid / "report.html").read_text(), (grid / "report" / "report.md").read_text()
    assert '<th scope="row">Distilled is good<small>source: someone 2015</small></th>' in page
    assert "<h2>Claims</h2>" in page
    assert "| Distilled is good; source: someone 2015 | holds | 1 | 0.5 | 0.01 | at least 60 % | 88.60 % |" in text
    write_report(claim(grid, []), grid)
    assert not (grid / "report" / "claims.csv").exists()
    assert "Claims" not in (grid / "report.html").read_text()


def test_a_sentence_tells_each_verdict_or_counts_them_over_settings(grid):
    assert list(claim_lines(claim(grid, CLAIMS).claims)) == [
        "Distilled is good: holds at 12 of 12 settings",
        "Labels do nothing: refuted at 2 of 2 settings",
        "Distilled is better: open at 12 of 12 settings",
        "holds: The teacher is best: 99.00 % [99.00 to 99.00 %], n = 2 (must be at least 90 %)",
    ]
    (one,) = claim_lines(judged_run(claim(grid / "0", CLAIMS[:1]).results[0]))
    assert one.startswith("one draw: Distilled is good: 87.60 % (must be at least 60 %); its samples alone: ")
    assert one.endswith("(Wilson's 95 % interval)")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"value": DISTILLED, "at_least": 0.868}, "at least 86.8 %"),
        ({"value": DISTILLED, "at_most": 0}, "at most 0 %"),
        ({"value": DISTILLED, "minus": BASELINE, "between": [-0.001, 0.001]}, "-0.1 to 0.1 points"),
        ({"value": DISTILLED | {"metric": "parameters"}, "at_most": 243237}, "at most 243,237"),
        ({"value": DISTILLED | {"metric": "bayes_error"}, "between": [0.022745, 0.022755]}, "0.022745 to 0.022755"),
    ],
)
def test_a_bound_is_written_in_the_units_of_its_metric(grid, rule, words):
    (judged,) = judged_run(claim(grid / "0", [{"say": "x", **rule}]).results[0])
    assert bound(judged.verdict.claim) == words


def test_a_claim_is_said_once_for_all_its_settings(grid):
    said = [row[0].split("\n")[0] for row in claims_table(claim(grid, CLAIMS).claims).rows]
    assert [line for line in said if line] == [it["say"] for it in CLAIMS]
    assert len(said) == 12 + 2 + 12 + 1


def test_the_table_and_the_sentences_say_where_the_runs_differ_from_the_source(grid):
    found = claim(grid / "0", CLAIMS[:1]).results[0]
    assert "source" not in claims_table(judged_run(found)).caption
    row = {"show": "x", "arm": "distilled", "metric": "accuracy", "source": 0.5}
    found.config["comparison"] = {"source": "someone", "dataset": "mnist", "rows": [row]}
    table = claims_table(judged_run(found))
    assert "sources' figures are for mnist, and this run is on digits" in table.caption
    assert table.header == ["claim", "verdict", "must be", "is"]
    *_, last = claim_lines(judged_run(found))
    assert last == "the sources' figures are for mnist, and this run is on digits"
    assert "one draw" in markdown(table)


def test_without_claims_there_is_no_table_and_an_empty_frame(grid):
    collection = collect([grid])
    assert collection.claims == []
    assert claims_table([]) is None
    pd.testing.assert_index_equal(claims_frame([]).columns[:3], pd.Index(["claim", "bound", "verdict"]))
