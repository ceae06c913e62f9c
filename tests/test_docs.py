"""docs/: the page of all keys is current, links lead somewhere, commands compose, snippets run."""

import importlib
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from kdlab.config.comparison import METRICS
from kdlab.config.compose import CONFIGS
from kdlab.config.seeds import written_out
from kdlab.config.structure import TOP_KEYS
from kdlab.results import Fit, Inputs, Results, Row

DOCS = Path(__file__).parent.parent / "docs"
PAGES = (
    "../README.md", "config.md", "data.md", "decisions.md", "experiments.md", "methods.md", "reproduction/README.md",
    "results.md", "sweeps.md",
)  # fmt: skip


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return OmegaConf.to_container(compose("train", list(overrides)), resolve=False)


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # as `python docs/config.py` has it
        yield importlib.import_module("config")


def test_the_page_of_all_keys_is_current(generator):
    current = generator.page() == text_of("config.md")
    assert current, "docs/config.md is stale: run `python docs/config.py`, and commit docs/config.md"


def test_the_page_of_all_keys_has_every_group_and_every_option():
    page = text_of("config.md")
    folders = {file.parent for file in CONFIGS.rglob("*.yaml")} - {CONFIGS}
    assert folders
    for folder in folders:
        group = folder.relative_to(CONFIGS).as_posix()
        rows = [line for line in page.splitlines() if re.match(rf"\| `\+?{group}(@[\w.]+)?=` \|", line)]
        assert rows, f"no row chooses an option of {group}"
        for option in folder.glob("*.yaml"):
            assert all(f"`{option.stem}`" in row for row in rows), f"{group}={option.stem} is missing"


def test_the_page_of_all_keys_has_every_key_of_the_config():
    page = text_of("config.md")
    places = {
        "teacher.net",
        "student.net",
        "teacher.augment",
        "student.augment",
        "teacher.optimizer",
        "teacher.schedule",
    }
    for path in leaves(composed()):
        section, _, key = path.rpartition(".")
        listed = key if section in places else path
        assert f"| `{listed}` |" in page or f".{listed}` |" in page, f"{path} is missing"
    for key in TOP_KEYS:
        assert re.search(rf"^(\| `{key}[`.]|## `{key}`)", page, re.MULTILINE), f"{key} is missing"


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif key not in ("_target_", "_partial_"):
            yield f"{prefix}{key}"


def test_the_changes_that_the_page_of_all_keys_teaches_can_be_composed():
    head = text_of("config.md").partition("## Groups")[0]
    shown = [word for it in re.findall(r"`([^`]+)`", head) for word in shlex.split(it) if not re.search("[A-Z]{3}", it)]
    changes = [word for word in shown if "=" in word or re.match("~.", word)]
    assert len(changes) > 10
    for change in changes:
        before = [] if change.startswith("+experiment") else ["+experiment=dark_knowledge"]
        for point in points([*before, change]):
            composed(*point)


def points(words: list[str]) -> list[list[str]]:
    """Return the overrides of each point of a sweep; of a single run, its own."""
    (found,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), max_batch_size=None)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_can_be_composed(page):
    for line in re.findall(r"^(?: {4})?python -m kdlab\.train (.*)$", unbroken(text_of(page)), re.MULTILINE):
        words = [word for word in written_out(shlex.split(line, comments=True)) if word not in ("-m", "…")]
        for point in points(words):
            composed(*point)


def unbroken(text: str) -> str:
    return re.sub(r" \\\n *", " ", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_the_page_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text_of(page)):
        file, _, anchor = target.partition("#")
        linked = ((DOCS / page).parent / file).resolve() if file else DOCS / page
        assert linked.exists(), f"{page} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in map(anchor_of, titles), f"{page} links to {target}"


def anchor_of(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


MY_NET = """
import torch
from torch import nn


class MyNet(nn.Module):
    def __init__(self, *, width: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.logits = nn.Linear(width, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits(self.features(images))
"""
TRAIN = """
import kdlab
small = ["data=image_folder", "data.root=my_images", "+debug=tiny", "teacher.net.channels=[2,2,2,2]"]
own = ["model@student.net=own", "student.net._target_=my_net.MyNet"]
sizes = ["+student.net.width=8", "+student.net.outputs=null"]
FOLDER = kdlab.run("compress", *small, *own, *sizes).folder
my_answer = lambda file: [0.0] * 5
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with what the pages' reader has: a network's class, images, and a run."""
    (tmp_path / "my_net.py").write_text(MY_NET)
    random = np.random.default_rng(0)
    for name, shade in {"red apple": (200, 30, 30), "pear": (150, 200, 60)}.items():
        (tmp_path / "my_images" / name).mkdir(parents=True)
        for i in range(13):
            noisy = np.array(shade) + random.integers(-25, 25, (40, 36, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "my_images" / name / f"{i}.png")
    for new in ("new.png", "another.jpg"):
        Image.new("L", (50, 60), 128).save(tmp_path / new)
    return tmp_path


def test_the_snippets_of_the_pages_run(lab, commands):
    snippets = [
        it
        for page in PAGES
        if page != "../README.md"  # whose snippet trains a whole experiment; tests/api does that in small
        for it in re.findall(r"^```python\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)
    ]
    assert len(snippets) >= 4
    script = "\n".join([TRAIN, *snippets]).replace('"outputs/…"', "FOLDER")
    done = commands.run(script, module="-c", folder=lab)
    assert done.returncode == 0, done.stderr
    assert "red apple" in done.stdout
    assert (lab / "loss_curves.png").stat().st_size > 1000


def test_the_page_of_results_has_every_metric_and_every_part_of_results_json():
    page = text_of("results.md")
    for name in (*METRICS, *msgspec.structs.asdict(Row("", "", "", "none", "", 0, 0))):
        assert f"`{name}`" in page or name in page, f"{name} is missing"
    for field in (*msgspec.structs.fields(Results), *msgspec.structs.fields(Inputs), *msgspec.structs.fields(Fit)):
        assert f"`{field.name}`" in page or f"`{field.name}s`" in page, f"{field.name} is missing"
