"""The store as a command: list its entries, verify them, remove some.

python -m kdlab.store [list | verify | prune]
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from kdlab.limits import shown
from kdlab.store import Entry, Store, size_of

DAY = 86400.0
# Digits of a key in the list; `prune` takes them.
SHOWN = 8
# What the list shows of the only fit of an arm.
USUAL = ("net._target_", "net.widths", "targets", "loss", "optimizer.lr", "seed", "weights")


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m kdlab.store", description="The finished fits that runs reuse.")
    parser.add_argument("--folder", type=Path, default=Path("outputs/store"), help="the store (outputs/store)")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="show all entries with size and age (the default)")
    commands.add_parser("verify", help="check every file of every entry; exit with status 1 if one is damaged")
    prune = commands.add_parser("prune", help="remove the entries that the options select")
    prune.add_argument("keys", nargs="*", metavar="KEY", help="content keys or their beginnings")
    prune.add_argument("--older-than", type=float, metavar="DAYS", help="entries finished more than DAYS days ago")
    prune.add_argument("--unfinished", action="store_true", help="checkpoints of interrupted fits")
    prune.add_argument("--damaged", action="store_true", help="entries that verify reports as damaged")
    prune.add_argument("--all", action="store_true", help="everything")
    prune.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    arguments = parser.parse_args()
    store = Store(arguments.folder)
    if arguments.command == "verify":
        sys.exit(_verify(store))
    if arguments.command == "prune":
        wanted = [arguments.keys, arguments.older_than is not None, arguments.unfinished, arguments.damaged]
        if not any([*wanted, arguments.all]):
            prune.error("name keys, --older-than DAYS, --unfinished, --damaged or --all")
        sys.exit(_prune(store, arguments))
    _list(store)


def _list(store: Store) -> None:
    """Print a line for each fit, with what tells it from the other fits of its arm."""
    table = Table(box=None, pad_edge=False)
    for column in ("key", "arm", "data", "what"):
        table.add_column(column, overflow="fold")
    for column in ("epochs", "size", "age"):
        table.add_column(column, justify="right", no_wrap=True)
    entries = store.entries()
    described = [_described(entry) for entry in entries]
    for entry, fit in zip(entries, described, strict=True):
        alike = [other for other in described if (other.arm, other.data) == (fit.arm, fit.data)]
        row = (entry.key[:SHOWN], fit.arm, fit.data, _told(fit, alike), fit.epochs)
        table.add_row(*row, _megabytes(entry.size()), _age(entry.finished) if entry.finished else "")
    for folder in store.interrupted():
        with suppress(OSError):  # it has just been finished
            since = _age(folder.stat().st_mtime)
            table.add_row(folder.name[:SHOWN], "", "", "unfinished", "", _megabytes(size_of(folder)), since)
    console = Console()
    console.print(table)
    console.print(f"{len(entries)} fits, {_megabytes(size_of(store.folder))} in {store.folder}", highlight=False)


class _Fit(NamedTuple):
    """What the list says of a fit; `settings` is its flattened recipe, and what it knows of its data."""

    arm: str = ""
    data: str = ""
    epochs: str = ""
    settings: Mapping[str, str] = {}


def _described(entry: Entry) -> _Fit:
    try:
        metrics, config = entry.metrics(), entry.config()
        # Other data of the same name have other held-out classes, for instance.
        settings = dict(_flat({**config["recipe"], "data": config["data"]}))
        return _Fit(str(metrics["arm"]), str(metrics["dataset"]), str(metrics["epochs"]), settings)
    except (OSError, ValueError, KeyError, TypeError):
        return _Fit()


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, str(shown(node))


def _told(fit: _Fit, alike: Sequence[_Fit]) -> str:
    """Return the settings in which a fit differs from others of its arm and data; of an only one, the usual ones."""
    if not fit.settings:
        return "damaged"
    names = dict.fromkeys(name for other in alike for name in other.settings)
    differing = [name for name in names if len({other.settings.get(name) for other in alike}) > 1]
    usual = [name for part in USUAL for name in fit.settings if name == part or name.startswith(f"{part}.")]
    return " ".join(_setting(name, fit.settings[name]) for name in differing or usual if name in fit.settings)


def _setting(name: str, value: str) -> str:
    """Return one setting in short: a class by its name, `loss.temperature` as `temperature`."""
    if name.endswith("_target_"):
        return value.rpartition(".")[2]
    return f"{name.removeprefix('net.').removeprefix('loss.').removeprefix('optimizer.')}={value}"


def _verify(store: Store) -> int:
    damaged = [(entry, damage) for entry in store.entries() if (damage := entry.damage())]
    for entry, damage in damaged:
        print(f"{entry.key}: {'; '.join(damage)}")
    print(
        f"{len(store.entries())} entries, {len(damaged)} damaged" + (": they will be trained anew" if damaged else "")
    )
    return 1 if damaged else 0


def _prune(store: Store, arguments: argparse.Namespace) -> int:
    if unknown := [key for key in arguments.keys if not any(e.key.startswith(key) for e in store.entries())]:
        print(f"no entry begins with {', '.join(unknown)}", file=sys.stderr)
        return 1
    freed, entries, unfinished = 0, 0, 0
    for folder in _to_go(store, arguments):
        size, of_store = size_of(folder), folder.parent == store.folder
        if arguments.dry_run:
            print(f"would be removed: {folder.name} ({_megabytes(size)})")
        elif not store.remove(folder):
            print(f"{folder.name} is kept: a running process uses it")
            continue
        freed, entries, unfinished = freed + size, entries + of_store, unfinished + (not of_store)
    done = "would be removed" if arguments.dry_run else "removed"
    print(f"{done}: {entries} entries, {unfinished} unfinished fits, {_megabytes(freed)}")
    return 0


def _to_go(store: Store, arguments: argparse.Namespace) -> Iterator[Path]:
    for entry in store.entries():
        old = arguments.older_than is not None and time.time() - entry.finished > arguments.older_than * DAY
        named = any(entry.key.startswith(key) for key in arguments.keys)
        if arguments.all or old or named or (arguments.damaged and entry.damage()):
            yield entry.folder
    if arguments.all or arguments.unfinished:
        yield from store.interrupted()
        yield from store.leftovers()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _age(since: float) -> str:
    seconds = time.time() - since
    for length, unit in ((DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
