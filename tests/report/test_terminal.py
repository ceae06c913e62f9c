"""The table that a run ends with."""

import io

from rich.console import Console

from kdlab.report import summary
from kdlab.results import Fit, Results, Row


def printed(held_out: list[int], rows: list[Row]) -> str:
    fits = [Fit(arm, "k", False, 1, 1.0, 1) for arm in dict.fromkeys(row.arm for row in rows)]
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(Results("e", "digits", 5, held_out, {}, {}, fits, rows)))
    return console.file.getvalue()


def rows(arm: str, correction: str, **errors: int) -> list[Row]:
    sizes = {"all": 100, "seen": 90, "unseen": 10}
    return [
        row
        for group, count in errors.items()
        for row in (
            Row(arm, "test", group, correction, "accuracy", 1 - count / sizes[group], sizes[group]),
            Row(arm, "test", group, correction, "errors", count, sizes[group]),
        )
    ]


def test_every_arm_group_and_correction_is_shown_with_its_numbers():
    offset = Row("distilled", "val", "3", "prior", "offset", 2.5, 68)
    text = printed(
        [3],
        [
            *rows("teacher", "none", all=2, seen=1, unseen=1),
            *rows("distilled", "none", all=12, seen=3, unseen=9),
            *rows("distilled", "prior", all=8, seen=4, unseen=4),
            offset,
        ],
    )
    assert "e · dataset: digits · held-out classes: 3 · seed 5" in text
    assert "all (100)" in text
    assert "unseen (10)" in text
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert lines == [
        ["teacher", "none", "98.00%     2", "98.89%     1", "90.00%     1"],
        ["distilled", "none", "88.00%    12", "96.67%     3", "10.00%     9"],
        ["", "prior", "92.00%     8", "95.56%     4", "60.00%     4"],
    ]
    assert "68 val samples of all classes" in text
    assert max(map(len, text.splitlines())) <= 80


def test_without_held_out_classes_there_is_one_column_and_no_talk_of_corrections():
    text = printed([], rows("teacher", "none", all=2, seen=2))
    assert "held-out classes: none" in text
    assert "seen" not in text
    assert "oracle" not in text
