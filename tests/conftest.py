"""What several tests need: a small data set in memory, MNIST files made on the spot, and the command line."""

import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from kdlab.data import ClassificationData, Samples, download


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


class Command:
    """A command under way, in the manner of `subprocess.Popen`; it leads a session of its own."""

    def __init__(self, address: str, request: dict[str, Any]) -> None:
        self.returncode: int | None = None
        self._output = [Path(request["stdout"]), Path(request["stderr"])]
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        self._stream = self._connection.makefile("rw")
        print(json.dumps(request), file=self._stream, flush=True)
        self.pid = int(self._stream.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raise TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("kdlab", timeout or 0.0)
            self.returncode = int(self._stream.readline())
            self._stream.close()
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit status; None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the command's first process."""
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; return what was printed."""
        self.wait(timeout)
        out, err = (path.read_text() for path in self._output)
        return out, err

    def stderr(self) -> str:
        """Return what was printed so far."""
        return self._output[1].read_text() if self._output[1].exists() else ""


class Commands:
    """Starts commands as `python -m` would, in processes forked from one that has done the slow imports (see there)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.address = str(folder / "socket")
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("commands.py"), self.address], stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout
        assert self.server.stdout.readline() == "ready\n"

    def start(
        self, *arguments: str, folder: Path, module: str = "kdlab.train", forks: bool = True, **environment: str
    ) -> Command:
        """Start a command in `folder`.

        Args:
            *arguments: of the command.
            folder: where it runs.
            module: whose command it is.
            forks: the pool launcher forks its jobs from itself, instead of from a server that imports torch first.
            **environment: variables that are set in addition. Numbers of threads come too late.
        """
        self.count += 1
        output = {name: str(self.folder / f"{self.count}.{name}") for name in ("stdout", "stderr")}
        request = {"module": module, "arguments": arguments, "folder": str(folder), "environment": environment}
        return Command(self.address, request | {"forks": forks} | output)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A process from which commands are forked."""
    found = Commands(tmp_path_factory.mktemp("commands"))
    yield found
    found.server.kill()
    found.server.communicate()


CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kdlab_train(tmp_path: Path, commands: Commands) -> CommandLine:
    """Run `python -m kdlab.train` as a user would, in an empty folder."""
    return partial(_train, commands, folder=tmp_path)


@pytest.fixture(scope="module")
def train_in_module(commands: Commands) -> CommandLine:
    """Run the same in a folder that is to be named."""
    return partial(_train, commands)


def _train(commands: Commands, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    if "OMP_NUM_THREADS" in environment:  # read when torch is imported
        return subprocess.run(
            [sys.executable, "-m", "kdlab.train", *arguments],
            cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
    command = commands.start(*arguments, folder=folder, **environment)
    out, err = command.communicate(timeout=400)
    return subprocess.CompletedProcess(arguments, command.returncode or 0, out, err)
