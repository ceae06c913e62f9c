"""The schema of an experiment's `tuning` and `reproduction`: how its arms' settings were chosen, and its seeds.

`tuning` is a record: each arm was trained at every combination of `settings`, or of its candidates in `own`, at `seeds`
that no result is reported of, and has the one with the fewest errors on the validation part in its recipe; `exceptions`
says of an arm that has another one why. `about` states what else the choice holds for, such as the optimizer's class:
with another, an arm's setting is no choice but an accident, and is refused.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kdlab.config.comparison import key_problems, selection_problems, value_at
from kdlab.limits import integer, is_integer, positive, shown

TUNING_KEYS = ("settings", "own", "seeds", "arms", "more", "exceptions", "about")
REPRODUCTION_KEYS = ("seeds", "hours", "more", "note", "figures", "grid")
GRID_KEYS = ("key", "values", "seeds", "metric", "classes", "correction")


def tuning_problems(tuning: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the `tuning` of a config; None is none."""
    if tuning is None:
        return
    if not isinstance(tuning, dict):
        yield f"tuning={shown(tuning)}: must be null, or a mapping with the keys {', '.join(TUNING_KEYS)}"
        return
    yield from key_problems("tuning", tuning, TUNING_KEYS, ("settings", "seeds"))
    settings = tuning.get("settings", {"": [0]})
    yield from _candidates("tuning.settings", settings)
    yield from _own_problems(tuning.get("own") or {}, config)
    yield from _seed_list("tuning.seeds", tuning.get("seeds", [0]))
    yield from _words("tuning.more", tuning.get("more"))
    exceptions = tuning.get("exceptions") or {}
    if not (isinstance(exceptions, dict) and all(isinstance(why, str) for why in exceptions.values())):
        yield f"tuning.exceptions={shown(exceptions)}: must be a reason, a text, for each of some arms"
    arms = tuning.get("arms")
    if not isinstance(arms, list | None):
        yield f"tuning.arms={shown(arms)}: must be a list of arms ([]: none yet), or left out where all were tuned"
    about = tuning.get("about") or {}
    if not isinstance(about, dict):
        yield f"tuning.about={shown(about)}: must be a mapping of the config's keys"
    elif isinstance(settings, dict):
        yield from _elsewhere(about, settings, config)


def _candidates(at: str, settings: Any) -> Iterator[str]:
    """Yield what is wrong with candidates by keys."""
    lists = list(settings.values()) if isinstance(settings, dict) else []
    if not lists or not all(isinstance(values, list) and values for values in lists):
        yield (
            f"{at}={shown(settings)}: must be the candidates by the arms' keys, such as {{optimizer.lr: [0.01, 0.1]}}"
        )


def _own_problems(own: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the candidates of single arms."""
    if not isinstance(own, dict):
        yield f"tuning.own={shown(own)}: must be the candidates by the arm's keys, for each of some arms"
        return
    arms = config.get("arms") or {}
    for arm, settings in own.items():
        if arm not in arms:
            yield f"tuning.own.{arm}: no such arm; there are {', '.join(arms)}"
        yield from _candidates(f"tuning.own.{arm}", settings)


def _elsewhere(about: Mapping[str, Any], settings: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line where the arms' settings were chosen for something else than what the config has."""
    forced = config.get("every_arm") or {}
    open_settings = [key for key in settings if not _has(forced, key)]
    for key, wanted in about.items():
        own = value_at(config, str(key)) if _has(config, str(key)) else None
        if own != wanted and open_settings:
            values = " ".join(f"+every_arm.{setting}=…" for setting in open_settings)
            yield (
                f"{key}={shown(own)}: the arms' {', '.join(open_settings)} were chosen for {shown(wanted)} "
                f"(tuning.about); give all arms one for this, {values}"
            )


def _has(config: Mapping[str, Any], key: str) -> bool:
    try:
        value_at(config, key)
    except KeyError:
        return False
    return True


def reproduction_problems(reproduction: Any) -> Iterator[str]:
    """Yield what is wrong with the `reproduction` of a config; None is none."""
    if reproduction is None:
        return
    if not isinstance(reproduction, dict):
        keys = ", ".join(REPRODUCTION_KEYS)
        yield f"reproduction={shown(reproduction)}: must be null, or a mapping with the keys {keys}"
        return
    yield from key_problems("reproduction", reproduction, REPRODUCTION_KEYS, ("seeds", "hours"))
    seeds, hours = reproduction.get("seeds", 1), reproduction.get("hours", 1)
    yield from integer("reproduction.seeds", seeds)
    yield from positive("reproduction.hours", hours)
    yield from _grid_problems(reproduction.get("grid"))
    for key in ("more", "figures"):
        yield from _words(f"reproduction.{key}", reproduction.get(key))


def _grid_problems(grid: Any) -> Iterator[str]:
    """Yield what is wrong with the one key that is swept besides the seeds; None is none."""
    if grid is None:
        return
    if not isinstance(grid, dict):
        yield f"reproduction.grid={shown(grid)}: must be a mapping with the keys {', '.join(GRID_KEYS)}"
        return
    yield from key_problems("reproduction.grid", grid, GRID_KEYS, ("key", "values", "seeds", "metric"))
    yield from integer("reproduction.grid.seeds", grid.get("seeds", 1))
    if not isinstance(grid.get("values", []), list):
        yield f"reproduction.grid.values={shown(grid['values'])}: must be the values of the key, a list"
    chosen = {key: grid[key] for key in ("metric", "classes", "correction") if key in grid}
    yield from selection_problems("reproduction.grid", chosen)


def tried_settings(config: Mapping[str, Any], arm: str) -> int:
    """Return among how many settings an arm's was chosen; 1 for one that was not tuned."""
    tuning = config.get("tuning") or {}
    tuned = tuning.get("arms")
    if not tuning or arm not in ((config.get("arms") or ()) if tuned is None else tuned):
        return 1
    settings = (tuning.get("own") or {}).get(arm, tuning["settings"])
    return math.prod(len(values) for values in settings.values())


def _seed_list(at: str, seeds: Any) -> Iterator[str]:
    if not (isinstance(seeds, list) and seeds and all(is_integer(seed, least=0) for seed in seeds)):
        yield f"{at}={shown(seeds)}: must be a list of seeds, such as [100]"


def _words(at: str, words: Any) -> Iterator[str]:
    if words is not None and not (isinstance(words, list) and all(isinstance(it, str) for it in words)):
        yield f"{at}={shown(words)}: must be a list of texts"
