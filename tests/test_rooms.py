"""The order of the rooms: a file imports from its own room and from those before it in the list, and nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kdlab"
# From the ground up.
ROOMS = (
    "errors", "limits", "hashing", "files", "schedules", "hardware", "curves", "outcome", "results", "losses", "models",
    "zoo", "data", "config", "claims", "store", "modules", "fits", "measure", "report", "trackers", "pipeline",
    "evaluate", "train", "sweeps", "api", "export", "predict",
)  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    return module.split(".")[1]


def of_room(*names: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(PACKAGE).parts[0].removesuffix(".py") in names]


def test_every_file_is_in_a_room_of_the_list():
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_stands_below_it(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    wrong = [name for name in imports(path) if name.startswith("kdlab.") and ROOMS.index(room(name)) > ROOMS.index(own)]
    assert not wrong


def test_nothing_outside_of_config_knows_omegaconf():
    others = [path for path in FILES if path not in of_room("config")]
    assert not [path for path in others if any(name.split(".")[0] == "omegaconf" for name in imports(path))]


def test_losses_and_models_know_torch_alone():
    allowed = {"torch", *sys.stdlib_module_names}
    for path in of_room("losses", "models"):
        for name in imports(path):
            known = name.startswith(("kdlab.losses.", "kdlab.models.", "kdlab.limits."))
            assert known or name.split(".")[0] in allowed, f"{path}: {name}"


def test_reports_import_no_trainer():
    trainers = ("kdlab.modules", "kdlab.fits.fit", "kdlab.fits.obtain", "lightning")
    for path in of_room("report"):
        assert not [name for name in imports(path) if name.startswith(trainers)], path


def test_files_and_functions_are_small_and_the_root_has_few():
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 14
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{path}: {node.name}"
