"""A sweep's points are composed as Hydra composes them, whatever they share."""

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kdlab.config.compose import CONFIGS, compose_point

EXPERIMENT = "+experiment=blobs_unseen"
POINTS = [
    (EXPERIMENT,),
    (EXPERIMENT, "seed=3", "optimizer.lr=0.1"),
    (EXPERIMENT, "seed=4", "optimizer.lr=0.2"),
    ("optimizer=adam", EXPERIMENT, "optimizer.lr=0.1"),
    (EXPERIMENT, "optimizer.lr=0.1", "optimizer=adam", "seed=${oc.env:HOME}"),
    (EXPERIMENT, "arms.distilled={}", "+arms.more={targets: truth}", "++arms.third.seed=2", "~question"),
    (EXPERIMENT, "model@student.net=mlp_30", "student.net.widths=[3,4]", "+debug=tiny", "name='a, b'"),
    (EXPERIMENT, "store={folder: x}", "hydra.job.name=other", "hydra.verbose=true"),
    (EXPERIMENT, "name=a", "name=b"),
    ("hydra.searchpath=[file:///nowhere]", EXPERIMENT, "seed=1"),
]


@pytest.fixture
def loader():
    setup_globals()
    GlobalHydra.instance().clear()
    return ConfigLoaderImpl(create_config_search_path(str(CONFIGS)))


def sweep(loader: ConfigLoaderImpl, *overrides: str) -> DictConfig:
    return loader.load_configuration("train", list(overrides), RunMode.MULTIRUN)


def plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config)  # its interpolations as they stand


def point(loader: ConfigLoaderImpl, config: DictConfig, overrides: tuple[str, ...], number: int = 5) -> DictConfig:
    return compose_point(loader, config, number=number, overrides=overrides, sweep=Path("s"))


@pytest.mark.filterwarnings("ignore:provider=hydra.searchpath")
def test_points_that_share_choices_are_composed_as_hydra_composes_each_alone(loader):
    config = sweep(loader, EXPERIMENT, "hydra.launcher.slots=2")
    for overrides in POINTS * 2:
        expected = loader.load_sweep_config(config, list(overrides))
        expected.hydra.job.update({"id": "5", "num": 5})
        expected.hydra.sweep.dir = "s"
        found = point(loader, config, overrides)
        assert plain(found) == plain(expected), overrides
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


def test_what_one_point_changes_does_not_reach_the_next(loader):
    config = sweep(loader, EXPERIMENT)
    point(loader, config, (EXPERIMENT, "seed=3"), number=1).teacher.max_epochs = 99
    second = point(loader, config, (EXPERIMENT,), number=2)
    assert (second.seed, second.hydra.job.num) == (0, 2)
    assert second.teacher.max_epochs != 99
    assert list(second.hydra.overrides.task) == [EXPERIMENT]


@pytest.mark.parametrize(
    "wrong", ["sed=1", "optimizer=nothing", "+optimizer.lr=2", "~nothing", "nothing@data=3", "a=1,2"]
)
def test_what_hydra_refuses_is_refused_in_its_words(loader, wrong):
    config = sweep(loader, EXPERIMENT)
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(config, [EXPERIMENT, wrong])
    with pytest.raises(HydraException) as found:
        point(loader, config, (EXPERIMENT, wrong))
    assert str(found.value) == str(expected.value)


def test_files_are_read_once_for_points_of_the_same_choices(loader, monkeypatch):
    composed = []
    compose = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda *args: composed.append(args[2]) or compose(*args))
    config = sweep(loader, EXPERIMENT)
    for number in range(4):
        point(loader, config, (EXPERIMENT, f"seed={number}", f"optimizer={'adam' if number % 2 else 'sgd'}"), number)
    assert composed == [[EXPERIMENT, "optimizer=sgd"], [EXPERIMENT, "optimizer=adam"]]
