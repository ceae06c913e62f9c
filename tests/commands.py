"""Commands as a user gives them, in processes that are forked from one that has done the slow imports.

`Commands` starts that process: this very file, which reads requests as JSON lines from a Unix socket, and answers with
the command's process id, then its exit status (negative: the signal that killed it), as `subprocess.Popen.returncode`.
What Python itself does at its start (imports, threads, paths) is tested by means of `subprocess`.
"""

import atexit
import json
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PRELOADED = (
    "kdlab.pipeline", "kdlab.api", "kdlab.report.run", "kdlab.report.sweep", "kdlab.sweeps.pool", "kdlab.sweeps.end",
    "sklearn.datasets",
)  # fmt: skip
TIMEOUT = 280
OPEN_FILES = 250  # at most as many can be sent at once


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
                raise subprocess.TimeoutExpired("python", timeout or 0.0)
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
        return self._output[1].read_text()


class Commands:
    """Starts commands, and the process that they are forked from."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._address = str(folder / "socket")
        self._server = subprocess.Popen(
            [sys.executable, __file__, self._address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout
        assert self._server.stdout.readline() == "ready\n"

    def start(
        self, *arguments: object, folder: Path, module: str = "kdlab.train", interpreters: int = 1, **environment: str
    ) -> Command:
        """Start `python -m MODULE ARGUMENTS…` in `folder`.

        Args:
            *arguments: of the command.
            folder: where it runs.
            module: whose command it is; "-c" for code, which is the one argument then, or the path of a script.
            interpreters: how many processes that multiprocessing starts are to have the slow imports, too.
            **environment: variables that are set in addition. Numbers of threads, and PYTHONPATH, come too late.
        """
        self._count += 1
        request: dict[str, Any] = {"module": module, "arguments": list(map(str, arguments)), "folder": str(folder)}
        request |= {"interpreters": interpreters, "environment": os.environ | environment}
        for name in ("stdout", "stderr"):
            (self._folder / f"{self._count}.{name}").touch()
            request[name] = str(self._folder / f"{self._count}.{name}")
        return Command(self._address, request)

    def run(self, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run such a command to its end."""
        command = self.start(*arguments, **how)
        try:
            out, err = command.communicate(TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(arguments, command.returncode or 0, out, err)

    def close(self) -> None:
        """End the process that commands are forked from."""
        self._server.communicate()


def serve(path: str) -> None:
    """Answer requests until the process that started this one closes its end of the pipe, or ends."""
    sys.path.pop(0)  # this file's folder
    for name in PRELOADED:
        __import__(name)
    compose_once()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(connection)
            os._exit(0)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def compose_once() -> None:
    """Let Hydra find its plugins and fill its parser's caches."""
    from hydra import compose, initialize_config_dir

    from kdlab.config.compose import CONFIGS

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        compose("train", ["+experiment=dark_knowledge"], return_hydra_config=True)


def answer(connection: socket.socket) -> None:
    """Start the command of one request, and wait for its end."""
    with connection, connection.makefile("rw") as stream:
        request = json.loads(stream.readline())
        pid = os.fork()
        if pid == 0:
            os.close(connection.fileno())
            os._exit(run(request))
        print(pid, file=stream, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=stream, flush=True)


def run(request: dict[str, Any]) -> int:
    """Run a command in this process, as the leader of a new session; return its exit status."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    prepare_interpreters(request["interpreters"])
    return ended(lambda: interpret(request["module"], request["arguments"]))


def ended(work: Callable[[], None]) -> int:
    """Do the work, and what Python does at its end; return the exit status."""
    code: Any = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def interpret(module: str, arguments: list[str]) -> None:
    """Do what `python` does with these arguments."""
    if module == "-c":
        sys.argv = ["-c"]
        sys.path.insert(0, "")
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
        return
    sys.argv = [module, *arguments]
    if module.endswith(".py"):
        sys.path.insert(0, str(Path(module).parent))
        runpy.run_path(module, run_name="__main__")
    else:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def prepare_interpreters(count: int) -> None:
    """Fork processes, imports and all, that become those which multiprocessing starts: its fork server, or others."""
    spawn = multiprocessing.util.spawnv_passfds
    waiting: list[tuple[int, socket.socket]] = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for connection in (ours, *(other for _, other in waiting)):
                connection.close()
            os._exit(ended(lambda: become_interpreter(theirs)))  # noqa: B023
        theirs.close()
        waiting.append((pid, ours))

    def hand_over(path: str, arguments: list[str], descriptors: list[int]) -> int:
        code, *words = arguments[arguments.index("-c") + 1 :]
        if not waiting or "resource_tracker" in code or len(descriptors) > OPEN_FILES:
            return spawn(path, arguments, descriptors)
        pid, connection = waiting.pop()
        request = {"code": code, "argv": ["-c", *words], "environment": dict(os.environ), "folder": os.getcwd()}
        message = json.dumps(request | {"descriptors": list(descriptors)}).encode()
        with connection:
            socket.send_fds(connection, [len(message).to_bytes(4, "big")], descriptors)
            connection.sendall(message)
        return pid

    multiprocessing.util.spawnv_passfds = hand_over


def become_interpreter(requests: socket.socket) -> None:
    """Wait for code and open files, and run it; end where the command ends without."""
    size, received, _, _ = socket.recv_fds(requests, 4, OPEN_FILES)
    if not size:
        return
    with requests, requests.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(size, "big")))
    aside = [os.dup2(number, 1000 + i) for i, number in enumerate(received)]  # not to be written over in the loop
    for number in received:
        os.close(number)
    for number, target in zip(aside, request["descriptors"], strict=True):
        os.dup2(number, target)
        os.close(number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = request["argv"]
    exec(request["code"], {"__name__": "__main__"})


if __name__ == "__main__":
    serve(sys.argv[1])
