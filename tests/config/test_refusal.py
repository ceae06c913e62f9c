"""What is refused before anything is written: one message, no traceback, exit status 1."""

import logging
import os
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from kdlab.config.compose import CONFIGS
from kdlab.config.refusal import Refusal, composition_errors, composition_problem, without_hydra

UNREADABLE = ("data.held_out_classes=[Äpfel]", "data.held_out_classes=[red (dark)]", "seed")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data=null", "data=null: data is a group of the config; give one of its options: blobs, cifar10"),
        ("optimizer=[1]", "optimizer=[1]: optimizer is a group of the config; give one of its options: adam, adamw"),
        ("data=${oops}", "data=${oops}: data is a group of the config; give one of its options: blobs, cifar10"),
        ("data=minst", "In 'train': Could not find 'data/minst'"),
        ("loss.temprature=4", "Could not override 'loss.temprature'.\nTo append to your config use +loss.temprature=4"),
        ("data.held_out_classes=[Äpfel]", "LexerNoViableAltException: data.held_out_classes=[Äpfel]"),
        ("data.held_out_classes=[red (dark)]", "Error parsing override"),
        ("seed", "Error parsing override 'seed'"),
        ("seed=1,2", "Ambiguous value for argument 'seed=1,2'"),
        ("=3", "Hydra cannot compose =3: Config group override must be a string or a list. Got int"),
    ],
)
def test_what_hydra_cannot_compose_is_one_message(argument, message):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"), pytest.raises(Exception) as caught:  # noqa: PT011
        compose("train", [argument])
    told = composition_problem(caught.value, [argument])
    assert told.startswith(message)
    assert "Config search path" not in told
    assert ("needs quotes inside of the shell's" in told) == (argument in UNREADABLE)


def test_a_fault_in_the_code_is_not_taken_for_one_in_the_command(monkeypatch):
    with pytest.raises(ZeroDivisionError), composition_errors():
        _ = 1 / 0
    assert "HYDRA_FULL_ERROR" not in os.environ
    monkeypatch.setattr(sys, "argv", ["kdlab.train", "data=null"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="Config group"), composition_errors():
        compose_now("data=null")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"
    monkeypatch.delenv("HYDRA_FULL_ERROR")
    with pytest.raises(SystemExit) as caught, composition_errors():
        compose_now("data=null")
    assert caught.value.code.startswith("data=null: data is a group")


def compose_now(*overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["+experiment=blobs_unseen", "trainer=cpu", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return config


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["name=../../x"], "name=../../x: names a folder"),
        ([f"name={'x' * 300}"], f"name={'x' * 80}… (300 characters): names a folder"),
        (["name=${oops}"], "name=${oops}: cannot be resolved: Interpolation key 'oops' not found"),
        (["hydra.run.dir=/etc/hostname/x"], "hydra.run.dir=/etc/hostname/x: cannot be made: /etc/hostname is a file"),
        ([f"hydra.run.dir={'x' * 300}"], f"hydra.run.dir={'x' * 80}… (300 characters): cannot be a folder: File name"),
        (["student.net.outputs=7"], "student.net: gives outputs of shape (2, 7)"),
    ],
)
def test_a_wrong_config_ends_before_its_folder_is_made(overrides, problem, caplog, tmp_path):
    config = compose_now(*overrides)
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as caught:
        Refusal().on_run_start(config)
    assert caught.value.code == 1
    assert f"  - {problem}" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_sweep_whose_folder_would_lie_elsewhere_is_refused(caplog, tmp_path):
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit):
        Refusal().on_multirun_start(compose_now("name=../../x"))
    assert "name=../../x: names a folder" in caplog.text


def test_a_right_config_is_not_touched(caplog):
    config = compose_now()
    before = without_hydra(config)
    Refusal().on_run_start(config)
    assert without_hydra(config) == before
    assert not caplog.records
