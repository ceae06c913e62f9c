"""`seeds=5` is short for a sweep over five seeds, and anything else that it may be given is refused in one message."""

import subprocess
import sys

import pytest

from kdlab.api import run
from kdlab.config.seeds import written_out
from kdlab.errors import ConfigError

EXPERIMENT = "+experiment=blobs_unseen"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["a=1"], ["a=1"]),
        (["seed=3"], ["seed=3"]),
        (["seeds=3"], ["-m", "seed=0,1,2"]),
        (["seeds=1"], ["-m", "seed=0"]),
        (["a=1", "seeds=[7, 2]"], ["-m", "a=1", "seed=7,2"]),
        (["seeds=[7]"], ["-m", "seed=7"]),
        (["seeds=7,2", "b=1"], ["-m", "seed=7,2", "b=1"]),
        (["-m", "a=1,2", "seeds=2"], ["-m", "a=1,2", "seed=0,1"]),
        (["--multirun", "seeds=2"], ["--multirun", "seed=0,1"]),
    ],
)
def test_seeds_is_written_out_as_a_sweep_over_seed(given, written):
    assert written_out(given) == written


@pytest.mark.parametrize("value", [
    "", "0", "-1", "1.5", "five", "[]", "[1,1]", "[1,x]", "[1,2", "1]", "[-1]", "null", "${seed}", "1,", "1e3",
    "range(5)",
])  # fmt: skip
def test_what_is_no_number_of_seeds_and_no_list_is_refused_with_its_value(value):
    with pytest.raises(ConfigError, match="must be how many seeds") as caught:
        written_out([f"seeds={value}"])
    assert caught.value.problems[0].startswith(f"seeds={value}:")


@pytest.mark.parametrize("more", [["seed=1"], ["seeds=2"]])
def test_seeds_beside_seed_or_twice_is_refused(more):
    with pytest.raises(ConfigError, match="give"):
        written_out(["seeds=3", *more])


def test_the_command_line_refuses_them_in_one_message_and_writes_nothing(tmp_path):
    command = [sys.executable, "-m", "kdlab.train", EXPERIMENT, "seeds=none"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1
    assert "seeds=none: must be how many seeds" in found.stderr
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.iterdir())


def test_a_single_run_from_python_has_no_seeds(tmp_path):
    with pytest.raises(ConfigError, match=r"kdlab\.sweep"):
        run("blobs_unseen", "seeds=3", folder=tmp_path)
