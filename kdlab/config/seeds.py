"""`seeds=5` on the command line: the short form of a sweep over seeds."""

import re
from collections.abc import Sequence

from kdlab.errors import ConfigError

KEY = "seeds"
MULTIRUN = ("-m", "--multirun")
RULE = "must be how many seeds (5 for 0 to 4), or a list of them, such as [0,7]"


def written_out(arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments with `seeds` written out: 5 as `-m seed=0,1,2,3,4`, [0,7] as `-m seed=0,7`.

    Raises:
        ConfigError: when its value is neither, when it is given twice, or beside `seed`.
    """
    given = [it for it in arguments if it.partition("=")[0] == KEY]
    if not given:
        return list(arguments)
    if len(given) > 1:
        raise ConfigError([f"{' '.join(given)}: give {KEY} once"])
    if beside := [it for it in arguments if it.partition("=")[0] == "seed"]:
        raise ConfigError([f"{given[0]} {beside[0]}: give one of both; {KEY} is short for a sweep over seed"])
    swept = [f"seed={','.join(map(str, _seeds(given[0])))}" if it == given[0] else it for it in arguments]
    return swept if set(swept) & set(MULTIRUN) else ["-m", *swept]


def _seeds(argument: str) -> list[int]:
    value = argument.partition("=")[2].replace(" ", "")
    if re.fullmatch(r"[1-9]\d{0,5}", value):
        return list(range(int(value)))
    listed = re.fullmatch(r"\[(\d{1,18}(?:,\d{1,18})*)\]|(\d{1,18}(?:,\d{1,18})+)", value)
    seeds = [int(it) for it in (listed[1] or listed[2]).split(",")] if listed else []
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError([f"{argument}: {RULE}"])
    return seeds
