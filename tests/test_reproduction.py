"""docs/reproduction/: made from real runs, from the committed rows alone; and no number in the docs is another's."""

import copy
import csv
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hydra import compose, initialize_config_dir

from kdlab.config.compose import CONFIGS, as_yaml, experiments
from kdlab.config.read import read

DOCS = Path(__file__).parent.parent / "docs"
SCRIPTS = ("reproduce", "reproduced", "reproduced_parts", "reproduced_rows")
STALE = "is stale: run `python docs/reproduce.py --pages`, and commit docs/"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The scripts of docs/, as `python docs/reproduce.py` has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield {name: importlib.import_module(name) for name in SCRIPTS}


@pytest.fixture(scope="module")
def reproduce(scripts) -> ModuleType:
    return scripts["reproduce"]


@pytest.fixture(scope="module")
def reproduced(scripts) -> ModuleType:
    return scripts["reproduced"]


@pytest.fixture(scope="module")
def reproduced_rows(scripts) -> ModuleType:
    return scripts["reproduced_rows"]


@pytest.fixture(scope="module")
def found(reproduced_rows) -> list:
    return reproduced_rows.all_reproduced()


def test_every_experiment_with_claims_is_reproduced_but_the_users_own(reproduced_rows):
    without = {name for name in experiments() if not reproduced_rows.config_of(name)["reproduction"]}
    assert without == {"compress", "cifar100_pair"}  # on images of one's own; for whoever has CIFAR-100


def test_the_pages_are_what_the_committed_rows_make(reproduced, found):
    assert found
    for path, text in reproduced.pages(found).items():
        current = path.read_text() == text
        assert current, f"{path} {STALE}"


def test_each_figure_that_a_page_shows_is_there(found, reproduced):
    for path, text in reproduced.pages(found).items():
        for name in re.findall(r"\]\(([\w/]+\.png)\)", text):
            assert (path.parent / name).is_file(), f"{path} shows {name}"


def test_each_arm_has_the_setting_that_was_best_on_validation(reproduced_rows):
    tuned = sorted((DOCS / "reproduction" / "tuning").glob("*.csv"))
    assert tuned
    for path in tuned:
        name = path.stem
        with path.open(newline="") as file:
            best = reproduced_rows.chosen(list(csv.DictReader(file)))
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            recipes = read(compose("train", [f"+experiment={name}"])).recipes
        apart = reproduced_rows.config_of(name)["tuning"].get("exceptions") or {}
        for arm, setting in ((arm, setting) for arm, setting in best.items() if arm not in apart):
            for part in setting.split():
                key, _, value = part.partition("=")
                own = recipes[arm]
                for step in key.split("."):
                    own = own[step] if isinstance(own, dict) else getattr(own, step)
                assert own == float(value), f"{name}: {arm} has {key}={own}, and {value} was best on validation"


def test_no_experiment_says_that_its_arms_were_tuned_without_the_errors_that_chose(reproduced_rows):
    tuned = set()
    for name in experiments():
        tuning = reproduced_rows.config_of(name)["tuning"]
        tuned |= {name} if tuning and tuning.get("arms") != [] else set()
    assert tuned <= {path.stem for path in (DOCS / "reproduction" / "tuning").glob("*.csv")}


def test_rows_of_another_recipe_are_left_out_and_a_key_that_holds_nothing_makes_no_other_recipe(
    reproduced_rows, monkeypatch
):
    assert reproduced_rows.reproduced("dark_knowledge")
    config = reproduced_rows.config_of("dark_knowledge")
    monkeypatch.setattr(reproduced_rows, "config_of", lambda name: config | {"new": None, "more": {"key": []}})
    assert reproduced_rows.reproduced("dark_knowledge")
    monkeypatch.setattr(reproduced_rows, "config_of", lambda name: config | {"teacher": {"max_epochs": 1}})
    assert reproduced_rows.reproduced("dark_knowledge") is None


def test_an_experiment_without_rows_of_its_recipe_says_so_on_its_page_and_is_named(reproduced, found, capsys):
    others = [it for it in found if it.name != "dark_knowledge"]
    assert reproduced.left_out_pages(others) == ["dark_knowledge"]
    pages = {path.name: text for path, text in reproduced.pages(others).items()}
    said = "Not run since its recipe was changed: `make reproduce ONLY=dark_knowledge`."
    assert said in pages["dark_knowledge.md"]
    assert said in pages["experiments.md"]
    assert "dark_knowledge" not in pages["claims.csv"]


def test_what_was_tried_of_another_recipe_is_not_shown_and_another_choice_makes_no_other_recipe(
    reproduced, reproduced_rows, found
):
    for it in found:
        if it.config["tuning"] and it.config["tuning"].get("arms") != []:
            assert sum(map(len, reproduced.tried_of(it))), it.name
    it = next(it for it in found if it.name == "soft_or_hard")
    recipe = reproduced_rows.tuning_recipe_of(it.config)
    chosen = copy.deepcopy(it.config)
    chosen["arms"]["a0"]["optimizer"]["lr"] = 7
    assert reproduced_rows.tuning_recipe_of(chosen) == recipe
    changed = it.config | {"student": it.config["student"] | {"max_epochs": 7}}
    assert reproduced_rows.tuning_recipe_of(changed) != recipe
    assert reproduced.tried_of(it._replace(config=changed)) == ([], [])


def test_published_figures_stand_beside_runs_that_do_what_the_source_did_alone(reproduced, found):
    of_name = {it.name: reproduced.numbers_table(it).header for it in found if reproduced.numbers_table(it)}
    assert "source" in of_name["paper_mnist"]
    assert "source" not in of_name["cifar10_compression"]  # a lossy copy of the source's images


def test_the_command_above_a_table_is_that_of_the_seeds_that_ran(reproduced_rows):
    config = {"reproduction": {"seeds": 5}}
    assert reproduced_rows.seeds_arguments("x", config)[-1] == "seeds=5"
    assert reproduced_rows.seeds_arguments("x", config, [0, 1, 2])[-1] == "seeds=3"
    assert reproduced_rows.seeds_arguments("x", config, [1, 4])[-1] == "seeds=[1,4]"


def test_a_run_of_changed_code_is_not_called_by_its_commit_alone(reproduce, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (["init"], [*author, "commit", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    (tmp_path / "notes").write_text("of no matter")
    commit = reproduce._commit()
    assert re.fullmatch("[0-9a-f]{9}", commit)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "new.yaml").write_text("")
    assert reproduce._commit() == f"{commit}-dirty"


def test_no_stand_in_is_reproduced_and_ctrl_c_leaves_one_line(tmp_path):
    command = [sys.executable, str(DOCS / "reproduce.py"), "dark_knowledge"]
    env = os.environ | {"PYTHONPATH": str(DOCS.parent), "KDLAB_DATA_DIR": str(tmp_path)}
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True, **told)
    assert process.stdout
    assert "data.fallback=null" in process.stdout.readline()
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted; the same command goes on where it was" in said
    assert "Traceback" not in said


def test_the_labels_of_a_grids_axes_are_numbers(scripts, monkeypatch, tmp_path):
    figures, drawn = sys.modules["reproduced_figures"], []
    monkeypatch.setattr(figures, "png", lambda figure: drawn.append(figure) or b"")
    lines = [{"arm": "a", "at": at, "value": value} for at, value in (("50", "0.1"), ("500", "1e-5"))]
    figures.save_grid(lines, {"key": "data.train_samples", "metric": "excess_risk"}, tmp_path / "grid.png")
    (panel,) = drawn[0].axes
    drawn[0].draw_without_rendering()
    labels = [label.get_text() for axis in (panel.xaxis, panel.yaxis) for label in axis.get_majorticklabels()]
    assert {"50", "500", "0.1", "0.001"} <= {*labels}
    assert not any("$" in label for label in labels)


def test_where_the_data_lie_makes_no_other_recipe(reproduced_rows, monkeypatch):
    recipes = []
    for folder in ("data", "/elsewhere"):
        monkeypatch.setenv("KDLAB_DATA_DIR", folder)
        assert reproduced_rows.config_of("cifar10_compression")["data"]["root"] == f"{folder}/cifar10_jpeg"
        recipes.append(reproduced_rows.recipe_of("cifar10_compression"))
    assert recipes[0] == recipes[1]


def test_a_real_reproduction_goes_on_and_adds_its_seeds_to_those_that_are_there(
    reproduce, reproduced, reproduced_rows, scripts, tmp_path, monkeypatch
):
    for it in scripts.values():
        monkeypatch.setattr(it, "FOLDER", tmp_path / "reproduction")
    monkeypatch.chdir(tmp_path)
    config = reproduced_rows.config_of("blobs_unseen")
    for seeds in (1, 2):
        config["reproduction"] = {"seeds": seeds, "hours": 1, "more": ["+debug=tiny"]}
        reproduce.reproduce("blobs_unseen", config)
    with (tmp_path / "reproduction" / "rows" / "blobs_unseen.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["seed"] for row in rows} == {"0", "1"}
    found = reproduced_rows.reproduced("blobs_unseen")
    run = next((tmp_path / "outputs/reproduction/blobs_unseen/seeds").glob("1/results.json"))
    kept = next(it for it in found.results if it.seed == 1)
    real = reproduce.read(run)
    assert real.value("distilled", ["all"], "accuracy") == pytest.approx(kept.value("distilled", ["all"], "accuracy"))
    assert {judged.verdict.n for judged in found.judged} == {2}
    assert reproduced.page(found, "").startswith("# blobs_unseen")


def test_lines_of_the_same_seed_take_each_others_place_and_others_stay(reproduce, tmp_path):
    path = tmp_path / "rows.csv"
    reproduce.keep(path, ["seed", "value"], [[10, 1], [2, 1]], key=1)
    reproduce.keep(path, ["seed", "value"], [[2, 5], [2, 6]], key=1)
    assert path.read_text().splitlines() == ["seed,value", "2,5", "2,6", "10,1"]


def test_the_best_setting_has_the_fewest_errors_in_the_mean_of_its_seeds_and_of_equals_the_lower_nll(reproduced_rows):
    def line(arm: str, setting: str, errors: int, nll: float, seed: int = 0) -> dict[str, str]:
        return {"arm": arm, "setting": setting, "seed": str(seed), "errors": str(errors), "nll": str(nll)}

    tried = [
        line("a", "lr=1", 10, 0.5), line("a", "lr=1", 20, 0.5, 1),
        line("a", "lr=2", 12, 0.5), line("a", "lr=2", 12, 0.5, 1),
        line("b", "lr=1", 10, 0.5), line("b", "lr=2", 10, 0.4),
    ]  # fmt: skip
    assert reproduced_rows.chosen(tried) == {"a": "lr=2", "b": "lr=2"}


# Numbers of words and of sentences: not results.
PLAIN = {str(number) for number in range(13)} | {"100"}


def test_every_number_in_the_reading_is_one_that_a_command_wrote(reproduced_rows):
    text = (DOCS / "experiments.md").read_text()
    text = re.sub(r"<!-- from: (\w+) -->.*?<!-- end -->", "", text, flags=re.DOTALL)
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name = section.partition("\n")[0].strip()
        if not (CONFIGS / "experiment" / f"{name}.yaml").exists():
            continue
        page = DOCS / "reproduction" / f"{name}.md"
        known = _numbers(page.read_text()) if page.exists() else set()
        known |= _numbers((CONFIGS / "experiment" / f"{name}.yaml").read_text()) | PLAIN
        known |= _numbers(as_yaml(reproduced_rows.config_of(name)))
        prose = re.sub(r"^With one rate for all arms.*?(?:\n\n|\Z)", "", section, flags=re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^    .*$|!\[.*?\]\(.*?\)|`[^`]*`|\b\d+(?:-\d+)+\b", "", prose, flags=re.MULTILINE)
        assert _numbers(prose) <= known, f"{name}: {sorted(_numbers(prose) - known)} come from no command"


def _numbers(text: str) -> set[str]:
    """Return the numbers in a text, without thousands' commas and closing zeros."""
    found = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)", text)
    return {f"{float(number.replace(',', '')):g}" for number in found}
