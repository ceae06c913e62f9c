"""Generated bad configs: each ends in one message that names the key, and in nothing but a `ConfigError`.

KDLAB_BAD=25 also gives so many of them to the command line (3 without it). One process checks the others.
"""

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError

COUNT, TYPED = 200, int(os.environ.get("KDLAB_BAD", "3"))
EXPERIMENT = ("+experiment=blobs_unseen", "trainer=cpu", "model@teacher.net=mlp_4", "model@student.net=mlp_4")
BAD = {
    "a word": "abc", "negative": -1, "zero": 0, "a trillion": 10**12, "huge": 10**24, "a huge float": 1e30,
    "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "null": None, "empty": "", "a list": [1], "an empty list": [],
    "nan in a list": [math.nan], "a mapping": {"a": 1}, "an empty mapping": {}, "a path": "/etc/hostname",
    "a path upwards": "../../x", "odd letters": "Ä\u2028\"<b>\udcff", "unresolved": "${oops}",
    "no variable": "${oc.env:NOPE}", "a call": "${foo:1}", "true": True, "a word for no": "no", "long": "x" * 300,
    "a share too many": 1.5, "a target": {"_target_": "os.getcwd"}, "no target": {"_target_": "nowhere.Nothing"},
}  # fmt: skip


@cache
def base() -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*EXPERIMENT])


def keys(node: Any, at: str = "") -> Iterator[str]:
    for key, value in node.items():
        path = f"{at}.{key}" if at else str(key)
        yield path
        if isinstance(value, dict):
            yield from keys(value, path)


KEYS = sorted(keys(OmegaConf.to_container(base())))


def refusal(key: str, value: Any) -> list[str]:
    """Return the problems of a config with one value in place of another; none where it is right."""
    config = base().copy()
    with open_dict(config):
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    try:
        read(config)
    except ConfigError as error:
        return error.problems
    return []


@settings(max_examples=COUNT, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(key=st.sampled_from(KEYS), kind=st.sampled_from(sorted(BAD)))
def test_a_bad_value_ends_in_one_message_that_names_its_key(key, kind):
    problems = refusal(key, BAD[kind])
    assert all(key.split(".")[-1] in line for line in problems[:1]), problems
    assert all("\n" not in line and len(line) < 600 for line in problems), problems
    assert not list(Path().iterdir())


def typed(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(typed, value))}]"
    if isinstance(value, str):
        return value if value.startswith("${") else f'"{value}"'
    return {None: "null", True: "true"}.get(value, str(value))


def test_on_the_command_line_too_and_nothing_is_written(kdlab_train, tmp_path):
    # Some of those letters cannot be typed, and an empty mapping is merged into what is there.
    kinds = [kind for kind in BAD if kind not in ("odd letters", "an empty mapping")]
    cases = Random(0).sample([(key, kind) for key in KEYS for kind in kinds], 4 * TYPED)
    refused = [(key, BAD[kind]) for key, kind in cases if refusal(key, BAD[kind])][:TYPED]
    assert len(refused) == TYPED
    for key, value in refused:
        done = kdlab_train(*EXPERIMENT, f"{key}={typed(value)}")
        assert done.returncode == 1, (key, value)
        assert key.split(".")[-1] in done.stderr, (key, value)
        assert "Traceback" not in done.stderr, (key, value)
        assert list(tmp_path.iterdir()) == []
