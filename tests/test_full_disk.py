"""A disk without room: one plain message, nothing corrupt, and the same command finishes once there is room."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdlab.files import full_disk, whole
from kdlab.results import read
from kdlab.store import Store

RUN = (
    "+experiment=blobs_unseen", "trainer=cpu", "teacher.max_epochs=1", "student.max_epochs=1", "data.train_samples=100",
    "data.val_size=0.2", "data.test_samples=100",
)  # fmt: skip
# Room in kB beyond what is in use, too little for Hydra's files, for the first fit, for all fits, for the figures.
ROOM = (12, 32, 180, 350)


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mount("size=1m")

    def _mount(self, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.folder], check=True, capture_output=True)

    def leave(self, kilobytes: int) -> None:
        """Leave so much room."""
        disk = os.statvfs(self.folder)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024
        self._mount(f"remount,size={used + kilobytes}k")

    def close(self) -> None:
        """Unmount."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    (tmp_path / "disk").mkdir()
    try:
        found = SmallDisk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems can be mounted by root alone")
    yield found
    found.close()


def test_at_each_write_a_full_disk_is_one_message_and_the_same_command_finishes_with_room(commands, disk):
    stages = []
    for kilobytes in ROOM:
        disk.leave(kilobytes)
        done = commands.run(*RUN, folder=disk.folder)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr, done.stderr
        assert "Error" not in done.stderr
        stage, _, said = done.stderr.splitlines()[-1].partition(": ")
        assert said.startswith("No space left on device"), done.stderr
        assert said.endswith("; make room, and the same command goes on")
        stages.append(stage)
        assert not any(entry.damage() for entry in Store(disk.folder / "outputs" / "store").entries())
        assert not list(disk.folder.rglob("*.part"))
    assert stages[:2] == ["the run's folder", "teacher"]
    assert len(set(stages)) > 2
    disk.leave(10_000)
    done = commands.run(*RUN, folder=disk.folder)
    assert done.returncode == 0, done.stderr
    results = [read(path).rows for path in disk.folder.glob("outputs/*/*/results.json")]
    assert all(rows == results[0] for rows in results)
    assert Store(disk.folder / "outputs" / "store").interrupted() == []


def test_a_limit_on_the_size_of_files_is_told_with_the_file(commands, tmp_path):
    """Where nothing can be mounted, files that may not grow take the place of a full disk."""
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384)); "
        f"sys.argv = ['kdlab.train', *{RUN!r}]; runpy.run_module('kdlab.train', run_name='__main__')"
    )
    done = commands.run(code, module="-c", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "teacher: No space left on device: outputs/store/.unfinished/" in done.stderr.splitlines()[-1]


def test_a_file_that_finds_no_room_is_named_and_the_earlier_one_stays(tmp_path):
    path = tmp_path / "file"
    path.write_text("earlier")

    def write() -> None:
        with whole(path) as scratch:
            scratch.write_text("half")
            # As torch.save does.
            raise RuntimeError("unexpected pos") from OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as told:
        write()
    assert full_disk(told.value) == f"No space left on device: {path}"
    assert path.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
