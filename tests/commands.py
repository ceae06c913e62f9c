"""A process that has done the slow imports, and forks a process for each command that a test gives.

Started by `conftest.Commands`; reads requests as JSON lines from a Unix socket, and answers with the command's process
id, then its exit status (negative: the signal that killed it), as `subprocess.Popen.returncode`.
"""

import atexit
import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import traceback
from typing import Any

PRELOADED = ("kdlab.pipeline", "kdlab.report.terminal", "kdlab.evaluate", "kdlab.sweeps.pool", "sklearn.datasets")


def serve(path: str) -> None:
    """Answer requests until the process that started this one ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    for name in PRELOADED:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(connection)
            os._exit(0)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Start the command of one request, and wait for its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile("rw") as stream:
        request = json.loads(stream.readline())
        pid = os.fork()
        if pid == 0:
            connection.close()
            os._exit(run(request))
        print(pid, file=stream, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=stream, flush=True)


def run(request: dict[str, Any]) -> int:
    """Run `python -m MODULE ARGUMENTS…` in this process, as the leader of a new session."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, name in ((1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.path.insert(0, request["folder"])
    sys.argv = [request["module"], *request["arguments"]]
    if request["forks"]:  # the jobs of a sweep are forked from the launcher, which has done the slow imports, too
        fork = multiprocessing.get_context("fork")
        multiprocessing.get_context = lambda method=None: fork
    code: Any = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
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


if __name__ == "__main__":
    serve(sys.argv[1])
