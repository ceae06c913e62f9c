"""A file of logits in the place of a teacher: students learn from it as from the network that gave the logits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import save_file

import kdlab
from kdlab.data import DigitsData, ImageFolderData
from kdlab.errors import ConfigError, DataError
from kdlab.models.logits_table import LogitsTable, keys_of
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.train import CONFIGS

SMALL = [
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "trainer.precision=32-true", "figures=false",
    "model@teacher.net=mlp_30", "model@student.net=mlp_4", "teacher.max_epochs=2", "student.max_epochs=2",
]  # fmt: skip


def finished(*overrides: str, folder: str, base: list[str] = SMALL) -> Results:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return run(compose("train", [*base, *overrides]), Path(folder))[0]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, np.ndarray]:
    """A run with a network as its teacher, and that network's logits for all samples."""
    folder = tmp_path_factory.mktemp("network")
    results = finished("store=off", folder=str(folder))
    data = DigitsData()
    net = kdlab.load(folder).networks["teacher"]
    with torch.no_grad():
        return results, torch.cat([net(part.inputs) for part in data.read()]).numpy()


def written(logits: np.ndarray, name: str) -> str:
    if name.endswith(".npy"):
        np.save(name, logits)
    else:
        save_file({"logits": torch.from_numpy(logits)}, name)
    return name


@pytest.mark.parametrize("name", ["logits.npy", "logits.safetensors"])
def test_students_of_a_table_end_as_those_of_the_network_that_gave_it(given, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected, logits = given
    found = finished(f"teacher.logits={written(logits, name)}", folder="run")
    numbers = [{(row.arm, row.split, row.classes, row.correction, row.metric): row.value for row in it.rows}
               for it in (found, expected)]  # fmt: skip
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)
    (record,) = (fit for fit in found.fits if fit.arm == "teacher")
    assert (record.parameters, record.epochs) == (0, 0)
    # Again from the store; and opened later, it still answers.
    again = finished(f"teacher.logits={name}", folder="again")
    assert [fit.key for fit in again.fits] == [fit.key for fit in found.fits]
    assert all(fit.reused for fit in again.fits)
    table = kdlab.load("run").networks["teacher"]
    inputs = DigitsData().read()[1].inputs
    assert np.allclose(table(inputs).numpy(), logits[-len(inputs) :], atol=1e-6)
    with pytest.raises(ValueError, match="no logits for 1 of 1 inputs"):
        table(255 - inputs[:1])


def test_other_logits_are_another_teacher(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logits = given[1]
    first = finished(f"teacher.logits={written(logits, 'a.npy')}", folder="a")
    second = finished(f"teacher.logits={written(logits + np.eye(10)[0], 'b.npy')}", folder="b")
    keys = [{fit.arm: fit.key for fit in results.fits} for results in (first, second)]
    assert {arm for arm in keys[0] if keys[0][arm] == keys[1][arm]} == {"baseline"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda logits: logits[:-1], r"is of shape \(1796, 10\), \(1797, 10\) is needed: a row for each of 1347"),
        (lambda logits: logits[:, :9], r"is of shape \(1797, 9\)"),
        (lambda logits: np.where(np.arange(len(logits))[:, None] == 7, np.nan, logits), "row 7 .* is not finite"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_by_what_is_wrong(given, spoil, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"logits.npy: .*{problem}"):
        finished(f"teacher.logits={written(spoil(given[1]), 'logits.npy')}", folder="run")
    Path("bad.npy").write_text("no numbers")
    with pytest.raises(DataError, match=r"bad.npy cannot be read"):
        finished("teacher.logits=bad.npy", folder="run")
    save_file({"other": torch.zeros(2)}, "other.safetensors")
    with pytest.raises(DataError, match="no tensor named logits"):
        finished("teacher.logits=other.safetensors", folder="run")


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["teacher.logits=none.npy"], "teacher.logits=none.npy: no such file"),
        (["teacher.logits=here.npy", "augment@student.augment=jitter"], "teacher.logits are for images as they are"),
        (["teacher.logits=here.npy", "teacher.checkpoint=here.npy"], "teacher.checkpoint, not both"),
    ],
)
def test_what_a_table_cannot_do_is_refused_before_it_is_read(overrides, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here.npy").touch()
    with pytest.raises(ConfigError, match=problem):
        finished(*overrides, folder="run")


def test_logits_by_the_names_of_image_files_in_any_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(f"pets/{name}/{i}.png")
    data = ImageFolderData(root="pets", image_size=8)
    data.setup()
    names = sorted(data.sample_files)
    assert names[0] == "cat/0.png"
    values = random.normal(size=(len(names), 2))
    table = pd.DataFrame(values, columns=["cat", "dog"]).assign(file=names).sample(frac=1, random_state=0)
    table[["dog", "file", "cat"]].to_csv("logits.csv", index=False)
    small = [
        "+experiment=compress", "data=image_folder", "data.root=pets", "data.image_size=8", "trainer=cpu", "store=off",
        "figures=false", "model@student.net=mlp_30", "student.max_epochs=1", "teacher.logits=logits.csv",
    ]  # fmt: skip
    results = finished(folder="run", base=small)
    by_name = dict(zip(names, values.argmax(axis=1), strict=True))
    tests = data.sample_files[-len(data.test.labels) :]
    wrong = sum(by_name[file] != label for file, label in zip(tests, data.test.labels.tolist(), strict=True))
    assert results.value("teacher", ["all"], "errors") == wrong
    assert not [row for row in results.rows if row.arm == "teacher" and row.split == "cost"]
    table[table["file"] != "dog/3.png"].to_csv("logits.csv", index=False)
    with pytest.raises(DataError, match=r"logits.csv: there are no logits for dog/3.png"):
        finished(folder="run", base=small)
    table.rename(columns={"dog": "wolf"}).to_csv("logits.csv", index=False)
    with pytest.raises(DataError, match=r"logits.csv: it has no column 'dog'"):
        finished(folder="run", base=small)


def test_inputs_are_told_apart_and_equal_ones_are_not():
    inputs = torch.randint(0, 256, (500, 3, 5, 5), generator=torch.Generator().manual_seed(0)).float() / 255
    keys = keys_of(inputs)
    assert len(keys.unique()) == 500
    assert torch.equal(keys_of(inputs.double() * 255 / 255), keys)
    changed = inputs.clone()
    changed[:, 0, 0, 0] = (changed[:, 0, 0, 0] * 255 + 1) / 255
    assert not (keys_of(changed) == keys).any()
    logits = torch.arange(1000.0).view(500, 2)
    table = LogitsTable(keys, logits)
    assert torch.equal(table(inputs[[7, 3]]), logits[[7, 3]])
