"""docs/notebooks/: each runs as a script in an empty folder, writes there alone, and shows what it claims."""

import re
from pathlib import Path

import pytest

from tests.commands import Commands

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"


def shown_by(name: str, commands: Commands, folder: Path) -> str:
    """Run a notebook as a script in a folder, and return what it printed."""
    beside = sorted(NOTEBOOKS.iterdir())
    done = commands.run(module=str(NOTEBOOKS / name), folder=folder)
    assert done.returncode == 0, done.stderr
    assert sorted(NOTEBOOKS.iterdir()) == beside
    return done.stdout


def test_a_student_reads_digits_that_it_never_saw_and_a_cold_one_needs_an_offset(commands, tmp_path):
    shown = shown_by("what_is_dark_knowledge.py", commands, tmp_path)
    baseline, cold, corrected, distilled = map(float, re.findall(r"([\d.]+) %", shown.splitlines()[-1]))
    assert baseline < 5
    assert cold < 50
    assert corrected > cold + 30
    assert distilled > 75
    smoothed = re.search(r"^smoothed +([\d.]+) +([\d.]+)", shown, re.MULTILINE)
    assert max(map(float, smoothed.groups())) < 50
    fitted, of_run = re.findall(r"(?:offset of|`prior`, found) ([\d.]+)", shown)
    assert float(fitted) == pytest.approx(float(of_run), abs=0.02)
    entropies = [float(nats) for nats in re.findall(r"have less than ([\d.]+) nats", shown)]
    assert entropies == sorted(entropies)
    assert entropies[0] < 0.5
    assert entropies[-1] > 2
    assert {"outputs", "targets.png", "entropy.png"} == {path.name for path in tmp_path.iterdir()}


def test_own_images_own_network_and_own_teacher_end_in_a_student_that_is_used_elsewhere(commands, tmp_path):
    shown = shown_by("bring_your_own.py", commands, tmp_path)
    assert shown.splitlines()[-1] == "new.png: arrow up; lying.png: arrow up; same probabilities: True"
    table = {line.split()[0]: line for line in shown.splitlines() if "│ none" in line}
    assert set(table) == {"teacher", "student", "distilled"}
    for line in table.values():
        assert float(re.search(r"([\d.]+) %", line)[1]) > 80
    written = {"my_images", ".my_images.kdlab", "my_net.py", "my_teacher.pt", "new.png", "lying.png", "outputs"}
    assert {path.name for path in tmp_path.iterdir()} == written
