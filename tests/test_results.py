"""results.json: exactly its schema, whole or not at all."""

import json

import pytest
from msgspec.structs import replace

from kdlab.results import Fit, InvalidResults, Results, Row, read, write

RESULTS = Results(
    experiment="e",
    dataset="digits",
    seed=0,
    held_out_classes=[3],
    config={"seed": 0, "nested": {"a": [1, 2]}},
    environment={"torch": "2"},
    fits=[Fit("teacher", "abc", False, 3, 1.5, 100), Fit("a", "def", False, 3, 1.5, 100)],
    rows=[Row("teacher", "test", "all", "none", "accuracy", 0.5, 10), Row("a", "test", "3", "prior", "errors", 3, 9)],
    equations={"teacher": "L = CE(z_t, y)"},
)


def test_round_trip(tmp_path):
    write(RESULTS, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == RESULTS
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_keys_are_exactly_those_of_the_schema(tmp_path):
    write(RESULTS, tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    assert set(content) == {
        "schema_version", "experiment", "dataset", "seed", "held_out_classes", "config", "environment", "fits", "rows",
        "equations", "inputs", "notes", "failed", "disagreements",
    }  # fmt: skip
    assert set(content["fits"][0]) == {
        "arm", "key", "reused", "epochs", "seconds", "parameters", "targets", "teacher", "stack", "threads"
    }  # fmt: skip
    assert set(content["rows"][0]) == {"arm", "split", "classes", "correction", "metric", "value", "n"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_earlier_schema_is_read_with_what_its_config_says_of_the_students(tmp_path, version):
    path = tmp_path / "results.json"
    config = {"student": {"targets": "teacher_soft"}, "arms": {"a": None, "b": {"targets": "truth"}}}
    fits = [Fit(name, "abc", False, 3, 1.5, 100) for name in ("teacher", "a", "b")]
    results = replace(RESULTS, config=config, fits=fits)
    write(results, path)
    content = json.loads(path.read_text()) | {"schema_version": version}
    for fit in content["fits"]:
        del fit["targets"], fit["teacher"]
    if version == 1:
        del content["equations"]
    path.write_text(json.dumps(content))
    told = [(None, None), ("teacher_soft", "teacher"), ("truth", "teacher")]
    fits = [replace(fit, targets=it, teacher=by) for fit, (it, by) in zip(fits, told, strict=True)]
    assert read(path) == replace(results, fits=fits, equations={} if version == 1 else RESULTS.equations)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path, value):
    path = tmp_path / "results.json"
    write(RESULTS, path)
    with pytest.raises(ValueError, match="JSON"):
        write(replace(RESULTS, rows=[replace(RESULTS.rows[0], value=value)]), path)
    assert read(path) == RESULTS
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop("rows"), "`rows`"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c.update(schema_version=99), "schema_version is 99, this kdlab reads 1 to 3"),
        (lambda c: c["rows"][0].update(correction="magic"), "'magic' - at `\\$.rows.0..correction`"),
        (lambda c: c["rows"][0].update(value="0.5"), "got `str` - at `\\$.rows.0..value`"),
        (lambda c: c["fits"][0].update(reused=0), "got `int` - at `\\$.fits.0..reused`"),
        (lambda c: c["fits"][0].update(arm="../x"), "matching regex .* - at `\\$.fits.0..arm`"),
        (lambda c: c["rows"][0].update(arm="../x"), "rows, but no fit, of '../x'"),
        (lambda c: c.update(seed=True), "got `bool` - at `\\$.seed`"),
    ],
)
def test_a_file_of_another_schema_is_named_with_what_is_wrong(tmp_path, damage, message):
    path = tmp_path / "results.json"
    write(RESULTS, path)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidResults, match=f"(?s)results.json.*{message}"):
        read(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"rows": ', "null"])
def test_a_truncated_or_foreign_file_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InvalidResults, match=r"results\.json"):
        read(path)
