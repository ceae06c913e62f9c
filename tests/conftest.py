"""What several tests need: a small data set in memory, MNIST files made on the spot, and the command line."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
import torch

from kdlab.data import ClassificationData, Samples, download
from kdlab.hardware import Hardware
from tests.commands import Commands

ILLUSTRATED = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64", "model@student.net=mlp_30",
    "teacher.max_epochs=6", "student.max_epochs=5",
)  # fmt: skip


class Stripes(ClassificationData):
    """Four classes of noisy 4×4 images; class c has its row c bright."""

    name = "stripes"
    class_names: ClassVar[tuple[str, ...]] = ("north", "middle", "equator", "south")
    input_shape: ClassVar[tuple[int, ...]] = (1, 4, 4)

    def read(self) -> tuple[Samples, Samples]:
        return self._samples(400, seed=0), self._samples(100, seed=1)

    def _samples(self, n: int, seed: int) -> Samples:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(n) % 4
        images = torch.randint(0, 120, (n, 1, 4, 4), generator=generator)
        images[torch.arange(n), 0, labels] += 120
        return Samples(images.to(torch.uint8), labels)


@pytest.fixture
def stripes() -> ClassificationData:
    data = Stripes(held_out_classes=["south"], val_size=0.1, batch_size=32)
    data.setup()
    return data


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    """A folder with four small files in MNIST's format."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, n in (("train", 200), ("t10k", 50)):
        generator = torch.Generator().manual_seed(n)
        images = torch.randint(0, 256, (n, 28, 28), generator=generator, dtype=torch.uint8)
        labels = (torch.arange(n) % 10).to(torch.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(
            struct.pack(">4i", 0x803, n, 28, 28) + images.numpy().tobytes()
        )
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, n) + labels.numpy().tobytes())
    return tmp_path


@pytest.fixture(autouse=True)
def own_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test find another's fits, or leave its own beside the project."""
    monkeypatch.chdir(tmp_path)


class Arithmetic(NamedTuple):
    """The device and the precision of a fit."""

    hardware: Hardware

    @property
    def device(self) -> torch.device:
        return self.hardware.device

    @property
    def rounding(self) -> float:
        """The relative error of one multiplication."""
        return 2**-8 if self.hardware.precision == "bf16-mixed" else 2**-23

    def autocast(self) -> torch.autocast:
        """What Lightning computes a step under."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.hardware.precision == "bf16-mixed")


ARITHMETICS = [(device, precision) for device in ("cpu", "cuda") for precision in ("32-true", "bf16-mixed")]


@pytest.fixture(params=ARITHMETICS, ids="-".join)
def arithmetic(request: pytest.FixtureRequest) -> Arithmetic:
    """Each device and precision that a fit may have; a GPU's are skipped without one."""
    device, precision = request.param
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    return Arithmetic(Hardware(torch.device(device), precision))


@pytest.fixture(autouse=True)
def own_arithmetic() -> Iterator[None]:
    """Let no test find torch in the deterministic mode that another's run on a GPU switched on."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty working folder, no data anywhere, and a network that does not answer."""

    def fall_silent(*args, **kwargs):
        raise TimeoutError

    monkeypatch.setattr(download, "urlopen", fall_silent)
    monkeypatch.delenv("KDLAB_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands, without the 5 s in which each would import torch."""
    found = Commands(tmp_path_factory.mktemp("commands"))
    yield found
    found.close()


CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kdlab_train(tmp_path: Path, commands: Commands) -> CommandLine:
    """Run `python -m kdlab.train` as a user would, in an empty folder."""
    return partial(_train, commands, folder=tmp_path)


@pytest.fixture(scope="module")
def train_in_module(commands: Commands) -> CommandLine:
    """Run the same in a folder that is to be named."""
    return partial(_train, commands)


@pytest.fixture(scope="session")
def illustrated(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of images, with an unseen class and all figures; not to be changed."""
    folder = tmp_path_factory.mktemp("illustrated")
    done = commands.run(*ILLUSTRATED, folder=folder)
    assert done.returncode == 0, done.stderr
    (results,) = folder.rglob("results.json")
    return results.parent


def _train(
    commands: Commands, *arguments: str, folder: Path, interpreters: int = 1, **environment: str
) -> subprocess.CompletedProcess[str]:
    if environment.keys() & {"OMP_NUM_THREADS", "PYTHONPATH"}:  # which Python and torch read when they start
        return subprocess.run(
            [sys.executable, "-m", "kdlab.train", *arguments],
            cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
    return commands.run(*arguments, folder=folder, interpreters=interpreters, **environment)
