"""Writes docs/config.md, every key of the config, from conf/: values as Hydra composes them, and the files' comments.

python docs/config.py

docs/config_files.py reads what the files hold. Where a yaml has no comment, the meaning comes from the docstring of the
kdlab class that `_target_` names.
"""

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from config_files import (
    HYDRAS_OWN,
    TRAIN,
    Option,
    added,
    arguments,
    choices,
    comments_of,
    composed,
    keys_below,
    names_in,
    options_of,
    raw,
    value_at,
)
from hydra import initialize_config_dir
from hydra.utils import get_object

from kdlab.config.compose import CONFIGS, experiments

PAGE = Path(__file__).resolve().parent / "config.md"
LAUNCHERS = CONFIGS / "hydra" / "launcher"
NONE = "–"

HEAD = """\
# Every key of the config

Written by `python docs/config.py` from the files in [`conf/`](../conf) and their comments: change those, not this page.
`--cfg job` prints the config of a command, `--help` the choices. A wrong value is refused before anything is trained,
with all that is wrong in one message.

How to write a change, on the command line or as a string for `kdlab.run`:

- `KEY=VALUE` changes a key that is there: `loss.temperature=4`, `evaluation.cost=true`, `question=null`.
- `GROUP=OPTION` chooses a file of `conf/GROUP/`: `data=digits`. `GROUP@PLACE=OPTION` chooses it for one place:
  `model@student.net=mlp_30`, `optimizer@teacher.optimizer=adam`.
- `+` adds what is not there yet: `+experiment=dark_knowledge`, an arm `+arms.hot.loss.temperature=40`, an option for an
  arm `+model@arms.small.net=mlp_30`, an argument `+teacher.net.width=64`. `~` takes away: `'~arms.baseline'`.
- Quotes keep the shell away from lists and from `~`: `'data.held_out_classes=[7,8]'`. Names with spaces, brackets or
  umlauts are quoted once more: `'data.held_out_classes=["red apple",pear]'`.
- `-m` sweeps over commas: `-m loss.temperature=1,4,20 seed=0,1,2` is nine runs ([sweeps.md](sweeps.md)).
"""

INTROS = {
    "data": "What each set is, and where it is found: [data.md](data.md).",
    "loss": """\
The students' loss; for one arm `+loss@arms.NAME.loss=`. Arms whose targets are hard minimize the cross-entropy instead,
unless their loss uses no soft targets. The equations: [theory.md](theory.md).""",
    "model": """\
For the teacher `model@teacher.net=`, for the students `model@student.net=`, for one arm `+model@arms.NAME.net=`. A key
of it is then `teacher.net.KEY` or `student.net.KEY`. Your own network: [data.md](data.md#your-own-trained-teacher).""",
    "augment": """\
For the teacher `augment@teacher.augment=`, for the students `augment@student.augment=`. A key of it is then
`teacher.augment.KEY` or `student.augment.KEY`.""",
    "optimizer": """\
`optimizer=` is the students', `optimizer@teacher.optimizer=` the teacher's, with the keys `teacher.optimizer.KEY`.
Other arguments of the torch class can be added: `optimizer=adam +optimizer.eps=1e-6`.""",
    "schedule": """\
`schedule=` is the students', `schedule@teacher.schedule=` the teacher's, with the keys `teacher.schedule.KEY`.""",
    "trainer": "Where, and how exactly, to compute.",
    "store": "Finished fits, which every later run reuses ([sweeps.md](sweeps.md#no-fit-is-trained-twice)).",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """Return the page's text."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        parts = [
            _choices(),
            _section(
                "The run", [*(key for key, value in composed().items() if not isinstance(value, Mapping)), "logger"]
            ),
            # Before the students: the comment of student.targets speaks of "the loss above".
            *map(_group, ("data", "loss")),
            _section("The teacher", [*keys_below("teacher"), "teachers"]),
            _section("The students", [*keys_below("student"), "arms", "every_arm"]),
            *map(_group, ("model", "augment", "optimizer", "schedule", "trainer", "store")),
            _section("Evaluation", keys_below("evaluation")),
            *map(_addition, added()),
            _addition("logger", "logger=NAME`, or `logger=[NAME,NAME]"),
            _launchers(),
        ]
        return "\n".join([HEAD, *(line for part in parts for line in part)]).rstrip("\n") + "\n"


def _choices() -> Iterator[str]:
    yield "## Groups\n"
    chosen = [(f"{group}@{place}" if place != group else group, group, option) for group, place, option in choices()]
    chosen += [(f"+{group}", group, NONE) for group in added()] + [("hydra/launcher", "hydra/launcher", "pool")]
    chosen += [("hydra/sweeper", "hydra/sweeper", "points")]
    chosen += [(group, group, "kdlab") for group in ("hydra/job_logging", "hydra/hydra_logging")]
    rows = [[f"`{how}=`", code(default), ", ".join(map(code, names_in(group)))] for how, group, default in chosen]
    yield from table(["choose with", "default", "options"], rows)


def _section(title: str, paths: Iterable[str]) -> Iterator[str]:
    filled = {place: (group, option) for group, place, option in choices()}
    rows = []
    for path in paths:
        if path in filled:
            group, option = filled[path]
            rows.append([code(path), code(option), f"`{group}@{path}=`, an option of [{group}](#{group})"])
        else:
            value = value_at(composed(), path)
            said = comments_of(TRAIN).keys.get(path)
            rows.append([code(path), code(shown(value)), text(said) if said else same_as(value)])
    yield f"## {title}\n"
    yield from keys_table(rows)


def _group(group: str) -> Iterator[str]:
    options = options_of(group)
    shared = [key for key in options[0].keys if all(key in option.keys for option in options)]
    yield f"## `{group}`\n"
    yield f"{INTROS[group]}\n"
    rows = [[code(it.name), summary(it, options), told(it, own_values(it, options, shared))] for it in options]
    full = any(row[2] for row in rows)
    yield from table(["option", "what", "sets"][: 2 + full], [row[: 2 + full] for row in rows])
    alike: dict[tuple[str, ...], list[Option]] = {}
    for option in options:
        alike.setdefault(tuple(key for key in option.keys if key not in shared), []).append(option)
    path = f"{group}." if group in composed() else ""
    if shared:
        yield "Keys of all options:\n"
        yield from keys_table([code(path + key), usual(key, options), meaning(key, options)] for key in shared)
    for keys, members in alike.items():
        if keys:
            yield f"Keys of {', '.join(code(it.name) for it in members)}:\n"
            yield from keys_table([code(path + key), one(key, members), meaning(key, members)] for key in keys)


def _addition(group: str, how: str = "") -> Iterator[str]:
    yield f"## `{group}`\n"
    yield f"`{how or f'+{group}=NAME'}` sets many keys at once, in one file of [`conf/{group}/`](../conf/{group}).\n"
    if group == "experiment":
        yield from table(["NAME", "asks"], [[code(name), text(asks)] for name, asks in experiments().items()])
    else:
        said = {name: comments_of(CONFIGS / group / f"{name}.yaml").header for name in names_in(group)}
        yield from table(["NAME", "what"], [[code(name), text(*lines)] for name, lines in said.items()])


def _launchers() -> Iterator[str]:
    said, hydra = comments_of(TRAIN).keys, raw(TRAIN)["hydra"]
    folders = {
        "run.dir": "the folder of a single run",
        "sweep.dir": f"the folder of a sweep; {said['hydra.sweep.dir']}",
        "sweep.subdir": f"the folder of one of its points; {said['hydra.sweep.subdir']}",
    }
    yield "## Hydra and its launchers\n"
    yield from keys_table(
        [code(f"hydra.{key}"), code(shown(value_at(hydra, key))), text(what)] for key, what in folders.items()
    )
    yield "Where the points of a sweep run ([sweeps.md](sweeps.md)):\n"
    files = sorted(LAUNCHERS.glob("*.yaml"))
    yield from table(["option", "what"], [[code(file.stem), text(*comments_of(file).header)] for file in files])
    yield "Keys of `pool`; those of the others stand in [`conf/hydra/launcher/`](../conf/hydra/launcher):\n"
    pool = Option("pool", raw(LAUNCHERS / "pool.yaml"), comments_of(LAUNCHERS / "pool.yaml"))
    yield from keys_table([code(f"hydra.launcher.{key}"), one(key, [pool]), meaning(key, [pool])] for key in pool.keys)


def summary(option: Option, options: Sequence[Option]) -> str:
    """Return what an option is, in its comment's words; without one, what it builds or sets."""
    said = option.comments.header or [it for key, it in option.comments.keys.items() if key == "_target_"]
    if not said and option.target.startswith("kdlab."):
        said = [(inspect.getdoc(get_object(option.target)) or "").split("\n")[0].removesuffix(".")]
    parts = ", then ".join(code(call(part)) for part in option.values.get("_args_", ()))
    if said or parts:
        return "<br>".join(filter(None, [text(*said), parts]))
    return code(option.target) if option.target else told(option, [key for key in option.keys if differs(key, options)])


def own_values(option: Option, options: Sequence[Option], shared: Sequence[str]) -> list[str]:
    """Return the keys whose values tell an option from the others of its class."""
    kin = [other for other in options if other.target == option.target]
    return [key for key in option.keys if key not in shared and differs(key, kin)]


def differs(key: str, options: Sequence[Option]) -> bool:
    """Tell whether these options, all of which have the key, give it several values."""
    return len({repr(option.values.get(key)) for option in options}) > 1


def told(option: Option, keys: Iterable[str]) -> str:
    """Return these keys with the option's values."""
    return " ".join(code(f"{key}={shown(option.values[key])}") for key in keys)


def usual(key: str, options: Sequence[Option]) -> str:
    """Return a key's most frequent default, and the options that have another."""
    values = {option.name: shown(option.values[key]) for option in options}
    most = Counter(values.values()).most_common(1)[0][0]
    others = [f"`{name}`: {code(value)}" for name, value in values.items() if value != most]
    return "; ".join([code(most), *others])


def one(key: str, options: Sequence[Option]) -> str:
    """Return the default that options share; if they differ, the table of options has it."""
    return "as its option" if differs(key, options) else code(shown(options[0].values[key]))


def meaning(key: str, options: Sequence[Option]) -> str:
    """Return what a key means: the comment that most options have; if they disagree, the docstring."""
    said = Counter(option.comments.keys[key] for option in options if key in option.comments.keys).most_common()
    documented = [it for option in options if (it := arguments(option.target).get(key))]
    if said and (len(said) == 1 or said[0][1] > 1 or not documented):
        return text(said[0][0])
    if documented:
        return text(documented[0])
    foreign = {option.target.rpartition(".")[2] for option in options if option.target.startswith("torch.")}
    return f"torch's, of {', '.join(map(code, sorted(foreign)))}" if foreign else NONE


def same_as(value: Any) -> str:
    """Return the meaning of a default that is another key's value; a dash for any other."""
    found = re.fullmatch(r"\$\{(?:oc\.select:)?([\w.]+)(?:,.*)?\}", str(value))
    return f"the value of `{found[1]}`" if found else NONE


def shown(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else str(value)


def call(node: Mapping[str, Any]) -> str:
    """Return what a node builds as a call."""
    given = ", ".join(f"{key}={shown(value)}" for key, value in node.items() if key not in HYDRAS_OWN)
    return f"{str(node['_target_']).rpartition('.')[2]}({given})"


def code(value: str) -> str:
    """Return a value as code; a dash as it is."""
    return value if value == NONE else f"`{value}`".replace("|", r"\|")


def text(*lines: str) -> str:
    """Return comment lines as one cell; as code: lines that are indented, for they are commands, and names and paths.

    These are the words with `_`, `*`, `<` or `$` in them, which Markdown would read as its own.
    """
    word = re.compile(r"(`[^`]*`)|[^\s(),;']*[_*<$][^\s(),;']*[^\s(),;'.:]")
    cells = [code(it.strip()) if it.startswith("  ") else word.sub(lambda m: m[1] or f"`{m[0]}`", it) for it in lines]
    return "<br>".join(cells).replace("|", r"\|")


def keys_table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table of keys."""
    yield from table(["key", "default", "meaning"], rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table, and an empty one."""
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


if __name__ == "__main__":
    main()
