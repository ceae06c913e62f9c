"""What a run ends with: one table and three lines."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from kdlab.report import finding, print_run, summary
from kdlab.results import Fit, Inputs, Results, Row

ARMS = {"teacher": {}, "baseline": {"targets": "truth"}, "distilled": {}}


def results(rows: list[Row], held_out=(3,), arms=ARMS, comparison=None, names=("0", "1", "2", "three")) -> Results:
    fits = [
        Fit(arm, "k", False, 1, 1.0, 1)
        if arm == "teacher"
        else Fit(arm, "k", False, 1, 1.0, 1, arms.get(arm, {}).get("targets", "teacher_soft"), "teacher")
        for arm in dict.fromkeys(row.arm for row in rows)
    ]
    config = {"comparison": comparison}
    inputs = Inputs([1, 28, 28], list(names), None)
    return Results("e", "digits", 5, list(held_out), config, {}, fits, rows, inputs=inputs)


def printed(held_out: list[int], rows: list[Row]) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(results(rows, held_out)))
    return console.file.getvalue()


def rows(arm: str, correction: str, split: str = "test", **errors: int) -> list[Row]:
    sizes = {"all": 1100, "seen": 90, "unseen": 1010}
    return [
        row
        for group, count in errors.items()
        for row in (
            Row(arm, split, group, correction, "accuracy", 1 - count / sizes[group], sizes[group]),
            Row(arm, split, group, correction, "errors", count, sizes[group]),
        )
    ]


DARK_KNOWLEDGE = [
    *rows("teacher", "none", all=11, seen=1, unseen=10),
    *rows("baseline", "none", all=1012, seen=2, unseen=1010),
    *rows("baseline", "prior", all=1000, seen=90, unseen=910),
    *rows("distilled", "none", all=75, seen=3, unseen=72),
    *rows("distilled", "prior", all=20, seen=4, unseen=16),
]


def test_what_a_reader_must_know_stands_below_the_table():
    found = msgspec.structs.replace(results(DARK_KNOWLEDGE), notes=["distilled has no correction `prior` [0.0]"])
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(found))
    assert console.file.getvalue().splitlines()[-1] == "note: distilled has no correction `prior` [0.0]"


def test_every_arm_group_and_correction_is_shown_with_its_numbers():
    text = printed([3], DARK_KNOWLEDGE)
    assert "e · dataset: digits · held-out classes: three · seed 5" in text
    assert "the test set, used once, after training" in text
    header = [[cell.strip() for cell in line.split("┃")] for line in text.splitlines() if "┃" in line]
    assert [" ".join(parts).strip() for parts in zip(*header, strict=True)] == [
        "arm", "correction", "unseen 1,010", "errors", "all 1,100", "errors", "seen 90", "errors",
    ]  # fmt: skip
    lines = [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if "│" in line]
    assert lines == [
        ["teacher", "none", "99.01 %", "10", "99.00 %", "11", "98.89 %", "1"],
        ["baseline", "none", "0.00 %", "1,010", "8.00 %", "1,012", "97.78 %", "2"],
        ["", "prior", "9.90 %", "910", "9.09 %", "1,000", "0.00 %", "90"],
        ["distilled", "none", "92.87 %", "72", "93.18 %", "75", "96.67 %", "3"],
        ["", "prior", "98.42 %", "16", "98.18 %", "20", "95.56 %", "4"],
    ]
    assert max(map(len, text.splitlines())) <= 80


def test_without_held_out_classes_there_is_one_pair_of_columns():
    text = printed([], rows("teacher", "none", all=2, seen=2))
    assert "held-out classes: none" in text
    assert "seen" not in text


@pytest.mark.parametrize(
    ("held_out", "found", "expected"),
    [
        (
            [3],
            DARK_KNOWLEDGE,
            "distilled: 92.9 % of the 1,010 test samples of class three that it never saw; baseline: 0.0 %",
        ),
        (
            [],
            [*rows("teacher", "none", all=11), *rows("baseline", "none", all=22), *rows("distilled", "none", all=15)],
            "errors on 1,100 test samples: teacher 11, baseline 22, distilled 15",
        ),
        (
            [],
            [*rows("teacher", "none", "val", all=11), *rows("distilled", "none", "val", all=15)],
            "errors on 1,100 val samples: teacher 11, distilled 15",
        ),
        (
            [],
            [row for i in range(8) for row in rows(f"t{i}", "none", all=10 + i)] + rows("teacher", "none", all=9),
            "errors on 1,100 test samples: teacher 9; 8 students 10 to 17",
        ),
        (
            [],
            [
                row
                for i in range(7)
                for how in ("none", "prior")
                for row in rows(f"without_{i}", how, all=100, unseen=100 + i)
            ],
            "7 students: 89.5 % to 90.1 % of the classes that each never saw",
        ),
    ],
)
def test_a_run_is_told_in_one_sentence(held_out, found, expected):
    arms = ARMS if any(row.arm == "baseline" for row in found) else {row.arm: {} for row in found}
    assert finding(results(found, held_out, arms)) == expected


def test_a_run_ends_with_one_table_and_three_lines(capsys):
    print_run(results(DARK_KNOWLEDGE), Path("out/report.html"), Path("out"))
    text = capsys.readouterr().out
    assert sum("━╇" in line for line in text.splitlines()) == 1
    assert text.splitlines()[-3:] == [
        "found:  distilled: 92.9 % of the 1,010 test samples of class three that it never saw; baseline: 0.0 %",
        "page:   out/report.html",
        "curves: tensorboard --logdir out",
    ]


def test_the_table_is_the_comparison_with_the_source_where_there_is_one(capsys):
    row = {"show": "errors on [3]s", "arm": "distilled", "classes": "unseen", "metric": "errors", "source": 133}
    comparison = {"source": "someone [2015]", "dataset": "digits", "rows": [row]}
    print_run(results(DARK_KNOWLEDGE, comparison=comparison), None, Path("out"))
    text = capsys.readouterr().out
    assert "someone [2015]" in text
    (line,) = [line for line in text.splitlines() if "errors on [3]s" in line]
    assert [cell.strip() for cell in line.split("│")[1:]] == ["133", "72"]
    assert "page" not in text
