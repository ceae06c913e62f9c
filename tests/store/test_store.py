"""The store: entries are whole or absent, damage is seen, one process trains, and a killed one blocks nobody."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from kdlab.files import write_json, write_sums
from kdlab.hashing import short_hash
from kdlab.store import FILES, Entry, Store, StoreError
from kdlab.store.__main__ import main

NET = {"_target_": "kdlab.models.MLP", "widths": [30]}
CONTENTS = {"recipe": {"net": NET, "optimizer": {"lr": 0.1}, "seed": 0, "loss": {"temperature": 4}}, "data": "abc"}
METRICS = {"arm": "teacher", "dataset": "digits", "epochs": 3, "seconds": 1.5}
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


OTHER = short_hash(CONTENTS | {"data": "other"})


def put_other(store: Store) -> Entry:
    with store.locked(OTHER, "other"), store.writing(OTHER) as folder:
        (folder / "weights.pt").write_bytes(b"other weights")
        (folder / "curves.csv").write_text("epoch,figure,value\n1,val/loss,0.6\n")
        write_json(CONTENTS | {"data": "other"}, folder / "config.json")
        write_json(METRICS | {"epochs": 4}, folder / "metrics.json")
    return store.entry(OTHER)


FAULTS = {
    "truncated": lambda path, other: path.write_bytes(path.read_bytes()[:-2]),
    "flipped": lambda path, other: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "emptied": lambda path, other: path.write_bytes(b""),
    "exchanged": lambda path, other: path.write_bytes((other / path.name).read_bytes()),
    "foreign": lambda path, other: path.write_bytes(b"\x80\x02 something else"),
    "gone": lambda path, other: path.unlink(),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
    "a dangling link": lambda path, other: (path.unlink(), path.symlink_to("nowhere")),
    "a link loop": lambda path, other: (path.unlink(), path.symlink_to(path.name)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_damaged_entry_is_reported_and_removed(store, caplog, name, fault):
    other = put_other(store)
    FAULTS[fault](store.entry(KEY).folder / name, other.folder)
    assert store.entry(KEY).damage()
    assert store.find(KEY) is None
    assert "damaged" in caplog.text
    # A file's own fault is told by its name, the sums' by any file that does not match them.
    assert name in caplog.text or name == "SHA256SUMS"
    assert not store.entry(KEY).folder.exists()
    put(store)
    assert store.find(KEY) is not None
    assert store.find(OTHER) is not None


FOREIGN = {
    "config.json": ["", "{", "[1]", '{"a": NaN}', '{"recipe": 3}', "[" * 100_000, "\udcff"],
    "metrics.json": ["", "[]", "null", "{}", '{"epochs": "three", "seconds": 1}', '{"epochs": 1, "seconds": NaN}'],
    "curves.csv": ["a,b\n1,2\n", "epoch,figure,value\n1\n", "epoch,figure,value\nx,y,z\n"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_with_its_checksum_is_found_and_redone(store, caplog, name):
    for content in FOREIGN[name]:
        folder = store.entry(KEY).folder
        (folder / name).write_bytes(content.encode(errors="surrogateescape"))
        write_sums(folder, FILES)
        assert any(name in line for line in store.entry(KEY).damage()), content[:30]
        assert store.find(KEY) is None
        assert f"{name}" in caplog.text
        put(store)
        assert store.find(KEY) is not None


@pytest.mark.parametrize("fault", ["a dangling link", "a file", "an empty folder"])
def test_what_stands_in_place_of_an_entry_is_found_and_redone(store, caplog, fault):
    folder = store.entry(KEY).folder
    shutil.rmtree(folder)
    {"a dangling link": lambda: folder.symlink_to("nowhere"), "a file": folder.touch, "an empty folder": folder.mkdir}[
        fault
    ]()
    assert [entry.damage() != [] for entry in store.entries()] == [True]
    put(store)  # even where nobody looked before
    assert store.find(KEY) is not None
    assert "damaged" not in caplog.text


def test_a_foreign_folder_is_no_entry(store):
    (store.folder / "notes").mkdir()
    assert [entry.key for entry in store.entries()] == [KEY]


def test_what_killed_processes_left_is_removed_with_the_next_use(store):
    folder = store.entry(KEY).folder
    for left in (
        store.folder / f".removed-{KEY}" / "weights.pt",
        store.folder / ".unfinished" / f".removed-{KEY}" / "epoch.ckpt",
        store.folder / ".unfinished" / KEY / "epoch.ckpt",  # killed between publication and cleaning
        folder / ".logits_0.safetensors-x.part",
    ):
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()
    with store.locked(KEY, "teacher"):
        assert store.find(KEY) is not None
    assert sorted(path.name for path in store.folder.iterdir()) == sorted([".locks", ".unfinished", KEY])
    assert not list((store.folder / ".unfinished").iterdir())
    assert {path.name for path in folder.iterdir()} == {*FILES, "SHA256SUMS"}


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


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process."""

    def run(store: Store, *arguments: str, columns: int = 160) -> Done:
        monkeypatch.setattr(sys, "argv", ["kdlab.store", "--folder", str(store.folder), *arguments])
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        return Done(code, *capsys.readouterr())

    return run


def test_the_command_does_not_import_torch(store):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['kdlab.store', '--folder', {str(store.folder)!r}]\n"
        "runpy.run_module('kdlab.store', run_name='__main__')\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_list_shows_the_entries_and_verify_names_the_damage(command, store):
    listed = command(store)
    assert KEY[:8] in listed.stdout
    assert "teacher" in listed.stdout
    assert "MLP widths=[30] temperature=4 lr=0.1 seed=0" in listed.stdout
    assert command(store, "verify").returncode == 0
    store.entry(KEY).weights.write_bytes(b"w")
    wrong = command(store, "verify")
    assert wrong.returncode == 1
    assert f"{KEY}: weights.pt does not match SHA256SUMS" in wrong.stdout


def test_on_80_columns_the_list_shows_what_tells_fits_apart(command, store):
    for temperature in (1, 20):
        contents = CONTENTS | {"recipe": CONTENTS["recipe"] | {"loss": {"temperature": temperature}}}
        key = short_hash(contents)
        with store.locked(key, "teacher"), store.writing(key) as folder:
            for name in FILES:
                shutil.copy(store.entry(KEY).folder / name, folder)
            write_json(contents, folder / "config.json")
    lines = command(store, columns=80).stdout.splitlines()
    assert [sum(f"temperature={t} " in line for line in lines[1:4]) for t in (1, 4, 20)] == [1, 1, 1]


def test_verify_reports_a_foreign_entry_and_prune_removes_it(command, store):
    (store.entry(KEY).folder / "config.json").write_text("no JSON")
    write_sums(store.entry(KEY).folder, FILES)
    assert f"{KEY}: config.json is none of a fit" in command(store, "verify").stdout
    assert "damaged" in command(store).stdout
    assert command(store, "prune", "--damaged").returncode == 0
    assert store.entries() == []


def test_pruning_and_listing_beside_processes_that_train_disturbs_nobody(command, store):
    """Entries and checkpoints come and go, while all is listed, verified and pruned again and again."""
    trains = "\n".join(
        [
            "import sys, time", "from pathlib import Path", "from kdlab.store import Store",
            "store, key, end = Store(Path(sys.argv[1])), sys.argv[2], time.monotonic() + 1.5",
            "while time.monotonic() < end:",
            "    with store.locked(key, 'teacher'):",
            "        store.find(key)",
            "        store.checkpoint(key).write_bytes(b'epoch')",
            "        with store.writing(key) as folder:",
            "            for path in Path(sys.argv[3]).iterdir():",
            "                (folder / path.name).write_bytes(path.read_bytes())",
            "        assert not store.entry(key).damage()",
        ]
    )  # fmt: skip
    sound = store.entry(KEY).folder.rename(store.folder.parent / "sound")
    training = [subprocess.Popen([sys.executable, "-c", trains, store.folder, KEY, sound]) for _ in range(2)]
    while any(process.poll() is None for process in training):
        assert command(store).returncode == 0
        assert command(store, "prune", "--all").returncode == 0
    assert [process.returncode for process in training] == [0, 0]
    assert command(store, "prune", "--all").returncode == 0
    left = {path.name for path in store.folder.rglob("*")}
    assert left <= {".locks", f"{KEY}.lock", ".unfinished"}


def test_prune_removes_the_selected_entries_alone(command, store):
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


def test_prune_keeps_what_a_running_process_uses(command, store):
    with holder(store, 600) as process:
        done = command(store, "prune", "--all")
        process.send_signal(signal.SIGKILL)
    assert "is kept: a running process uses it" in done.stdout
    assert store.find(KEY) is not None


def test_prune_takes_keys_and_refuses_unknown_ones(command, store):
    done = command(store, "prune", "feedfeedfeedfeed")
    assert done.returncode != 0
    assert "feedfeedfeedfeed" in done.stderr
    assert command(store, "prune", KEY[:6]).returncode == 0
    assert store.entries() == []
