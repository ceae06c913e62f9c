"""confusion.csv: counts that are read as they were written, and that agree with the rows."""

import numpy as np
import pytest

from kdlab.measure.confusion import read_confusion, write_confusion
from kdlab.results import read


def test_counts_are_read_as_they_were_written_and_zeros_take_no_line(tmp_path):
    counts = {"a": np.array([[3, 0, 1], [0, 0, 0], [0, 2, 5]]), "b": np.eye(3, dtype=int)}
    write_confusion(counts, tmp_path / "confusion.csv")
    found = read_confusion(tmp_path / "confusion.csv", 3)
    assert list(found) == ["a", "b"]
    assert all(np.array_equal(found[arm], counts[arm]) for arm in counts)
    lines = (tmp_path / "confusion.csv").read_text().splitlines()
    assert lines[:3] == ["arm,true,choice,samples", "a,0,0,3", "a,0,2,1"]
    assert len(lines) == 1 + 4 + 3


@pytest.mark.parametrize(
    ("line", "message"),
    [("a,0", "lacks a column"), ("a,0,x,1", "invalid literal"), ("a,-1,0,1", "of class -1"), ("a,0,3,1", "as 3, of 3"),
     ("a,0,0,-7", "-7 samples")],
)  # fmt: skip
def test_a_line_that_no_run_writes_is_refused(tmp_path, line, message):
    path = tmp_path / "confusion.csv"
    path.write_text(f"arm,true,choice,samples\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_confusion(path, 3)


def test_a_runs_counts_are_those_of_its_rows(illustrated):
    results, counts = read(illustrated / "results.json"), read_confusion(illustrated / "confusion.csv", 10)
    assert list(counts) == [fit.arm for fit in results.fits]
    for arm, own in counts.items():
        for c in range(10):
            row = results.find(arm, str(c), "errors")
            assert (own[c].sum(), own[c].sum() - own[c, c]) == (row.n, row.value)
