"""The bounded download, against a real server on the loopback interface."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kdlab.data.download import DownloadFailed, bounded_download


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def slow_server() -> Iterator[str]:
    """A server that sends thirty bytes, one every tenth of a second."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(30):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


FETCH = """
from pathlib import Path
from urllib.request import urlopen

target = Path(folder, "sub", "file")
target.parent.mkdir()
with urlopen({url!r}) as response, target.open("wb") as file:
    while byte := response.read(1):
        file.write(byte)
        file.flush()
"""


def test_a_silent_network_is_given_up_and_nothing_is_left(silent_server, tmp_path):
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match="no answer from the network within 1 seconds"):
        bounded_download(FETCH.format(url=silent_server), tmp_path / "data", silence=1)
    assert time.monotonic() - start < 5
    assert list(tmp_path.iterdir()) == []


def test_what_was_given_up_writes_no_more(tmp_path):
    late = "import time; time.sleep(1.5); open(folder + '/late', 'w').write('late')"
    with pytest.raises(DownloadFailed):
        bounded_download(late, tmp_path / "data", silence=0.5)
    time.sleep(2)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_network_that_answers_is_waited_for(slow_server, tmp_path):
    bounded_download(FETCH.format(url=slow_server), tmp_path, silence=2)
    assert (tmp_path / "sub" / "file").read_bytes() == b"x" * 30
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_an_error_is_passed_on_and_nothing_is_left(tmp_path):
    code = "open(folder + '/half', 'w').write('half')\nraise RuntimeError('Error downloading\\nfile')"
    with pytest.raises(DownloadFailed, match=r"^Error downloading file$"):
        bounded_download(code, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadFailed, match=f"cannot write to {tmp_path / 'file'}"):
        bounded_download("pass", tmp_path / "file")
