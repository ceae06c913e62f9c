"""Downloads, from real servers on the loopback interface."""

import gzip
import hashlib
import os
import signal
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10, MNIST

from kdlab.data import CIFAR10Data, MNISTData
from kdlab.data.download import DownloadFailed, download, filled

CONTENT = b"x" * 30
MD5 = hashlib.md5(CONTENT).hexdigest()

Handler = Callable[..., BaseHTTPRequestHandler]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of this machine stand between a test and its server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], str]]:
    """Start servers and return their URLs."""
    servers = []

    def start(handler: Handler) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Files(SimpleHTTPRequestHandler):
    """Serves the files of a folder."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def files_in(folder: Path) -> Handler:
    return partial(Files, directory=str(folder))


class Slow(Files):
    """Sends `CONTENT` one byte every twentieth of a second."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in CONTENT:
            time.sleep(0.05)
            self.wfile.write(b"x")


class Stalled(Files):
    """Sends a third of `CONTENT`, and after a second and a half the rest."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # the client has gone
            self.wfile.write(CONTENT[:10])
            time.sleep(1.5)
            self.wfile.write(CONTENT[10:])


class Late(Files):
    """Sends `CONTENT` after a second and a half."""

    def do_GET(self) -> None:
        time.sleep(1.5)
        with suppress(OSError):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_silent_network_is_given_up_once_for_all_sources_and_nothing_is_left(silent, tmp_path):
    start = time.monotonic()
    with (
        pytest.raises(DownloadFailed, match=r"no answer from the network within 0\.5 seconds"),
        filled(tmp_path / "data") as scratch,
    ):
        download([url_of(silent)] * 3, scratch / "sub" / "file", md5=MD5, silence=0.5)
    assert 0.4 < time.monotonic() - start < 1.4
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_opens_no_connection_is_given_up_as_soon(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(3)]  # these fill the queue of connections: later ones get no answer
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        start = time.monotonic()
        with pytest.raises(DownloadFailed, match=r"no answer from the network within 0\.5 seconds"):
            download([url_of(server)] * 3, tmp_path / "file", md5=MD5, silence=0.5)
        assert time.monotonic() - start < 1.4
        for client in waiting:
            client.close()


def test_a_name_lookup_that_hangs_is_given_up_as_soon(monkeypatch, tmp_path):
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: end.wait(30))
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"no answer from the network within 0\.5 seconds"):
        download(["http://mirror.example/", "http://other.example/"], tmp_path / "file", md5=MD5, silence=0.5)
    assert time.monotonic() - start < 1.4
    end.set()


@pytest.mark.parametrize("answer", [Late, Stalled])
def test_what_was_given_up_writes_no_more(serve, tmp_path, answer):
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match="no answer"), filled(tmp_path / "data") as scratch:
        download([serve(answer)] * 3, scratch / "file", md5=MD5, silence=0.5)
    assert time.monotonic() - start < 1.4
    time.sleep(1.5)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_network_that_answers_is_waited_for(serve, tmp_path):
    with filled(tmp_path) as scratch:
        download([serve(Slow)], scratch / "sub" / "file", md5=MD5, silence=0.6)
    assert (tmp_path / "sub" / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_a_source_without_the_file_or_with_another_gives_way_to_the_next(serve, tmp_path):
    for name, content in {"wrong": b"y", "right": CONTENT}.items():
        (tmp_path / name).write_bytes(content)
    files = serve(files_in(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        refusing = url_of(server)
    bad = [refusing, f"{files}missing", f"{files}wrong"]
    download([*bad, f"{files}right"], tmp_path / "file", md5=MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    with pytest.raises(DownloadFailed) as caught:
        download(bad, tmp_path / "file", md5=MD5)
    reasons = str(caught.value).split("; ")
    assert [reason.startswith(f"{url}: ") for reason, url in zip(reasons, bad, strict=True)] == [True] * 3
    assert "refused" in reasons[0]
    assert "404" in reasons[1]
    assert f"MD5 is not {MD5}" in reasons[2]


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "old").write_text("old")

    def fail(scratch: Path) -> None:
        (scratch / "old").write_text("half")
        raise DownloadFailed("gone")

    with pytest.raises(DownloadFailed, match="gone"), filled(tmp_path) as scratch:
        fail(scratch)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadFailed, match=f"cannot write to {tmp_path / 'file'}"), filled(tmp_path / "file"):
        pass


def test_mnist_is_fetched_from_the_mirror_that_has_it_and_read_and_nothing_is_printed(
    serve, mnist_folder, tmp_path, monkeypatch, capfd
):
    resources = []
    for file in (mnist_folder / "MNIST" / "raw").iterdir():
        content = gzip.compress(file.read_bytes())
        (tmp_path / f"{file.name}.gz").write_bytes(content)
        resources.append((f"{file.name}.gz", hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [serve(files_in(tmp_path / "empty")), serve(files_in(tmp_path))])
    monkeypatch.setenv("KDLAB_DATA_DIR", str(tmp_path / "data"))
    train, test = MNISTData().read()
    assert (len(train.labels), len(test.labels)) == (200, 50)
    raw = tmp_path / "data" / "MNIST" / "raw"
    assert [path.relative_to(tmp_path / "data") for path in sorted(raw.iterdir())] == sorted(MNISTData.files)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["MNIST"]
    assert capfd.readouterr() == ("", "")


def test_cifar10_is_fetched_and_its_archive_removed(serve, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / CIFAR10.filename, "w:gz") as archive:
        for file in CIFAR10Data.files:
            (tmp_path / file.name).write_bytes(file.name.encode())
            archive.add(tmp_path / file.name, file)
    monkeypatch.setattr(CIFAR10, "url", serve(files_in(tmp_path)) + CIFAR10.filename)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((tmp_path / CIFAR10.filename).read_bytes()).hexdigest())
    folder = tmp_path / "data"
    with filled(folder) as scratch:
        CIFAR10Data().fetch(scratch)
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == set(CIFAR10Data.files)
    assert (folder / CIFAR10Data.files[0]).read_bytes() == CIFAR10Data.files[0].name.encode()


def fetch_mnist(url: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    MNIST.mirrors = [url, url]
    try:
        MNISTData(root="data").read()
    except KeyboardInterrupt:
        sys.exit(130)


def test_ctrl_c_ends_a_hanging_download_at_once_and_nothing_is_left(silent, tmp_path, monkeypatch):
    monkeypatch.delenv("KDLAB_DATA_DIR", raising=False)
    silent.settimeout(60)
    process = get_context("fork").Process(target=fetch_mnist, args=[url_of(silent)])
    process.start()
    connection, _ = silent.accept()
    request = connection.recv(1000)
    time.sleep(0.2)
    assert list(tmp_path.glob("data/.download-*/MNIST/raw"))
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode == 130
    assert time.monotonic() - start < 2
    connection.close()
    assert request.startswith(b"GET /train-images-idx3-ubyte.gz")
    assert list(tmp_path.iterdir()) == []
