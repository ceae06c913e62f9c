"""The store as a command: list its entries, verify them, remove some.

python -m kdlab.store [list | verify | prune]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kdlab.store import Entry, Store, size_of

DAY = 86400.0


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
    table = Table()
    for column in ("key", "arm", "data", "what"):
        table.add_column(column)
    for column in ("epochs", "size", "age"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in store.entries():
        table.add_row(*_described(entry), _megabytes(entry.size()), _age(entry.finished) if entry.finished else "")
    for folder in store.interrupted():
        table.add_row(folder.name, "", "", "unfinished", "", _megabytes(size_of(folder)), _age(folder.stat().st_mtime))
    total = size_of(store.folder) if store.folder.is_dir() else 0
    console = Console()
    console.print(table)
    console.print(f"{len(store.entries())} fits, {_megabytes(total)} in {store.folder}", highlight=False)


def _described(entry: Entry) -> tuple[str, str, str, str, str]:
    try:
        metrics = entry.metrics()
        what = _what(entry.config()["recipe"])
        return entry.key, str(metrics["arm"]), str(metrics["dataset"]), what, str(metrics["epochs"])
    except (OSError, ValueError, KeyError):
        return entry.key, "", "", "damaged", ""


def _what(recipe: dict[str, Any]) -> str:
    """Return the network, the targets, and the numbers that are usually swept."""
    loss = [f"{name}={value}" for name, value in recipe.get("loss", {}).items() if name[0] != "_"]
    if "weights" in recipe:
        numbers = ["given weights"]
    else:
        numbers = [*loss, f"lr={recipe['optimizer'].get('lr', 'default')}", f"seed={recipe['seed']}"]
    net = [f"{name}={value}" for name, value in recipe["net"].items() if name == "widths"]
    kind = str(recipe["net"]["_target_"]).rpartition(".")[2]
    return " ".join([kind, *net, recipe.get("targets", ""), *numbers]).replace("  ", " ")


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
