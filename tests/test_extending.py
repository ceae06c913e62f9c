"""docs/extending.md, as a reader follows it: every file written, every command run."""

import re
import shlex
from pathlib import Path

import pytest

from kdlab.results import Results, read

TEXT = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()
FILES = re.findall(r"`([\w/.]+)`:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)[1].strip().split("\n")


@pytest.fixture(scope="module")
def folder(commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, where its commands have been run."""
    root = tmp_path_factory.mktemp("extending")
    for name, content in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for command in COMMANDS:
        python, option, module, *arguments = shlex.split(command)
        assert (python, option) == ("python", "-m")
        done = commands.run(*arguments, module=module, folder=root)
        assert done.returncode == 0, done.stderr
    return root


def results(folder: Path, experiment: str) -> list[Results]:
    return [read(path) for path in sorted((folder / "outputs" / experiment).glob("*/results.json"))]


def test_the_page_shows_a_data_set_a_network_a_loss_and_an_experiment():
    assert {str(Path(name).parent) for name, _ in FILES} == {
        "my_lab", "my_conf/data", "my_conf/model", "my_conf/loss", "my_conf/experiment"
    }  # fmt: skip
    assert len(COMMANDS) == 3


def test_every_command_ends_in_results(folder):
    first, second = results(folder, "rings")
    (third,) = results(folder, "dark_knowledge")
    assert [fit.arm for fit in first.fits] == ["teacher", "baseline", "distilled", "cosine"]
    assert first.dataset == third.dataset == "rings"
    assert first.held_out_classes == [1]
    assert third.held_out_classes == [2]
    assert second.config["student"]["net"]["width"] == 4
    assert first.config["student"]["net"]["outputs"] == 3


def test_the_examples_question_is_answered_and_compared(folder):
    first, _ = results(folder, "rings")
    assert first.find("baseline", "unseen", "accuracy").value == 0
    assert first.find("distilled", "unseen", "accuracy", "prior").value > 0.5
    run = next(path.parent for path in (folder / "outputs" / "rings").glob("*/results.json"))
    assert (run / "figures" / "decision_regions.png").is_file()
    assert "baseline on the middle ring" in (run / "comparison.csv").read_text()
