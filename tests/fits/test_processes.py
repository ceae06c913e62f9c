"""Processes that work for another: what they return, their threads, and their end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from kdlab.fits.processes import can_fork, side_by_side

pytestmark = pytest.mark.skipif(not can_fork(), reason="torch can be forked on Linux alone, and without a GPU")

PARENT = """
import os, sys, time
from pathlib import Path
from kdlab.fits.processes import side_by_side

def wait(name):
    Path(name).write_text(str(os.getpid()))
    time.sleep(60)

side_by_side(wait, sys.argv[1:])
"""


def test_results_come_in_the_order_of_the_items_and_not_of_the_ends():
    def slow_first(item: int) -> tuple[int, int]:
        time.sleep(0.3 if item == 0 else 0)
        return item, os.getpid()

    (first, one), (second, other) = side_by_side(slow_first, [0, 1])
    assert (first, second) == (0, 1)
    assert len({one, other, os.getpid()}) == 3


def test_each_has_one_thread_and_computes_what_its_parent_computes():
    def work(_: int) -> tuple[int, list[list[float]]]:
        inputs = torch.arange(6.0).reshape(2, 3).requires_grad_()
        (inputs @ inputs.T).square().sum().backward()
        return torch.get_num_threads(), inputs.grad.tolist()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(400, 400) @ torch.randn(400, 400)  # starts the threads that no fork takes along
        expected = work(0)[1]
        found = side_by_side(work, [0, 1])
    finally:
        torch.set_num_threads(before)
    assert [threads for threads, _ in found] == [1, 1]
    assert all(gradient == expected for _, gradient in found)


def test_on_a_terminal_they_show_no_bars_that_would_write_over_each_other():
    _, terminal = os.openpty()
    with os.fdopen(terminal, "w") as file:
        assert Console(file=file).is_terminal
        assert side_by_side(lambda _: Console(file=file).is_terminal, [0, 1]) == [False, False]


def test_what_is_killed_or_raises_gives_none_and_the_others_their_results(capfd):
    def work(item: str) -> str:
        if item == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "raises":
            raise RuntimeError("a fault of its own")
        return item

    assert side_by_side(work, ["killed", "whole", "raises"]) == [None, "whole", None]
    assert "a fault of its own" in capfd.readouterr().err


def test_one_that_is_killed_is_noticed_though_another_works_on():
    def work(item: str) -> str:
        if item == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1)
        return item

    began = time.monotonic()
    assert side_by_side(work, ["killed", "long"]) == [None, "long"]
    assert time.monotonic() - began < 20


def test_one_that_cannot_be_started_gives_none(monkeypatch):
    fork = os.fork
    left = iter([True, False])

    def limited() -> int:
        if next(left):
            return fork()
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", limited)
    assert side_by_side(lambda item: item, ["first", "second"]) == ["first", None]


def test_a_worker_of_a_pool_forks_none():
    def in_worker(channel) -> None:
        channel.send(can_fork())

    context = multiprocessing.get_context("fork")
    mine, of_worker = context.Pipe()
    worker = context.Process(target=in_worker, args=(of_worker,), daemon=True)
    worker.start()
    assert mine.poll(20)
    assert mine.recv() is False
    worker.join()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_they_end_with_their_parent(number, tmp_path):
    names = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *names], stderr=subprocess.DEVNULL)
    while not all(path.exists() and path.read_text() for path in names):
        time.sleep(0.02)
    parent.send_signal(number)  # to it alone, as the end of a notebook's kernel would be
    parent.wait(20)
    assert until(lambda: not any(alive(int(path.read_text())) for path in names))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False
