"""The store: entries are whole or absent, damage is seen, one process trains, and a killed one blocks nobody."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdlab.files import write_json
from kdlab.hashing import short_hash
from kdlab.store import FILES, Store, StoreError

NET = {"_target_": "kdlab.models.MLP", "widths": [30]}
CONTENTS = {"recipe": {"net": NET, "optimizer": {"lr": 0.1}, "seed": 0, "loss": {"temperature": 4}}, "data": "abc"}
METRICS = {"arm": "teacher", "dataset": "digits", "epochs": 3}
KEY = short_hash(CONTENTS)


def put(store: Store, key: str = KEY) -> None:
    with store.locked(key, "teacher"), store.writing(key) as folder:
        (folder / "weights.pt").write_bytes(b"weights")
        (folder / "curves.csv").write_text("epoch,figure,value\n1,val/loss,0.5\n")
        write_json(CONTENTS, folder / "config.json")
        write_json(METRICS, folder / "metrics.json")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    put(store)
    return store


def test_a_written_entry_is_found_and_no_other(store):
    entry = store.find(KEY)
    assert entry is not None
    assert entry.weights.read_bytes() == b"weights"
    assert entry.config() == CONTENTS
    assert entry.metrics() == METRICS
    assert [entry.key for entry in store.entries()] == [KEY]
    assert store.find("0" * 16) is None
    assert store.interrupted() == []


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
@pytest.mark.parametrize("fault", ["truncated", "edited", "gone"])
def test_a_damaged_entry_is_reported_and_removed(store, caplog, name, fault):
    path = store.entry(KEY).folder / name
    if fault == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-2] if fault == "truncated" else bytes([content[0] ^ 1]) + content[1:])
    assert store.find(KEY) is None
    assert "damaged" in caplog.text
    assert name in caplog.text
    assert not store.entry(KEY).folder.exists()
    put(store)
    assert store.find(KEY) is not None


def test_an_entry_whose_contents_have_another_key_is_damaged(store):
    store.entry(KEY).folder.rename(store.folder / ("0" * 16))
    assert store.find("0" * 16) is None


def test_checksums_are_those_that_sha256sum_checks(store):
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=store.entry(KEY).folder, capture_output=True)
    assert done.returncode == 0


def test_a_failure_while_writing_leaves_the_old_entry_or_none(tmp_path):
    store = Store(tmp_path / "store")

    def fail_halfway() -> None:
        with store.locked(KEY, "teacher"), store.writing(KEY) as folder:
            (folder / "weights.pt").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert store.entries() == []
    assert store.find(KEY) is None
    put(store)
    assert store.find(KEY).weights.read_bytes() == b"weights"


def test_refresh_redoes_entries_older_than_the_command_once(store):
    later = Store(store.folder, redo_before=time.time() + 5)
    checkpoint = store.checkpoint(KEY)
    checkpoint.write_bytes(b"old")
    assert later.find(KEY) is None
    assert not later.checkpoint(KEY).exists()
    assert Store(store.folder, redo_before=time.time() - 5).find(KEY) is not None
    put(store)  # replaces the old entry
    assert store.find(KEY) is not None


HOLD = """
import sys, time
from pathlib import Path
from kdlab.store import Store
store = Store(Path(sys.argv[1]))
with store.locked(sys.argv[2], "teacher"):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def holder(store: Store, seconds: float) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.folder, KEY, str(seconds)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_process_waits_for_the_first(store):
    start = time.monotonic()
    with holder(store, 1.5), store.locked(KEY, "teacher"):
        assert time.monotonic() - start > 1


def test_a_killed_process_does_not_block(store):
    with holder(store, 600) as process:
        process.kill()
        process.wait()
        start = time.monotonic()
        with store.locked(KEY, "teacher"):
            assert time.monotonic() - start < 5


def test_a_folder_that_cannot_be_written_to_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"store\.folder=.*file/store: cannot be used .*store=off"):
        put(Store(tmp_path / "file" / "store"))


# The command.


def command(store: Store, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kdlab.store", "--folder", store.folder, *arguments],
        capture_output=True, text=True, env=os.environ | {"COLUMNS": "160"}, check=False,
    )  # fmt: skip


def test_the_command_does_not_import_torch(store):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['kdlab.store', '--folder', {str(store.folder)!r}]\n"
        "runpy.run_module('kdlab.store', run_name='__main__')\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_list_shows_the_entries_and_verify_names_the_damage(store):
    listed = command(store)
    assert KEY in listed.stdout
    assert "teacher" in listed.stdout
    assert "MLP widths=[30] temperature=4 lr=0.1 seed=0" in listed.stdout
    assert command(store, "verify").returncode == 0
    store.entry(KEY).weights.write_bytes(b"w")
    wrong = command(store, "verify")
    assert wrong.returncode == 1
    assert f"{KEY}: weights.pt does not match SHA256SUMS" in wrong.stdout


def test_prune_removes_the_selected_entries_alone(store):
    store.checkpoint("1" * 16).write_bytes(b"epoch")
    assert command(store, "prune").returncode == 2  # nothing is selected
    assert command(store, "prune", "--damaged", "--older-than", "1").returncode == 0
    assert [entry.key for entry in store.entries()] == [KEY]
    assert "1 unfinished" in command(store, "prune", "--unfinished").stdout
    assert store.interrupted() == []
    old = time.time() - 3 * 86400
    os.utime(store.entry(KEY).folder / "SHA256SUMS", (old, old))
    assert KEY in command(store, "prune", "--older-than", "2", "--dry-run").stdout
    assert store.find(KEY) is not None
    assert command(store, "prune", "--older-than", "2").returncode == 0
    assert store.entries() == []


def test_prune_keeps_what_a_running_process_uses(store):
    with holder(store, 600) as process:
        done = command(store, "prune", "--all")
        process.send_signal(signal.SIGKILL)
    assert "is kept: a running process uses it" in done.stdout
    assert store.find(KEY) is not None


def test_prune_takes_keys_and_refuses_unknown_ones(store):
    done = command(store, "prune", "feedfeedfeedfeed")
    assert done.returncode != 0
    assert "feedfeedfeedfeed" in done.stderr
    assert command(store, "prune", KEY[:6]).returncode == 0
    assert store.entries() == []
