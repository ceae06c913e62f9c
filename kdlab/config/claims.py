"""The schema of an experiment's `claims`: sentences with a rule that the rows of several seeds uphold or refute."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdlab.config.comparison import GROUPS, SELECTION, SHARES, key_problems, selection_problems
from kdlab.limits import is_finite, shown, text

BOUNDS = ("at_least", "at_most", "between")
KEYS = ("say", "value", "minus", "share_of", *BOUNDS, "source")
SELECTION_KEYS = ("arm", "metric", *SELECTION)
# Metrics that count the right answers, or the wrong ones, among samples.
COUNTED = ("accuracy", "errors", "correct", "error_rate")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A number of a result: a row's value, or the mean over several `classes`, which are groups or indices as text."""

    arm: str
    metric: str
    classes: tuple[str, ...]
    split: str
    correction: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence and its rule: `value`, or the difference `value` − `minus`, lies in [low, high]; None for no end.

    With `share_of` (a, b) what lies there is the share (`value` − `minus`) / (a − b).
    """

    say: str
    value: Selection
    minus: Selection | None
    share_of: tuple[Selection, Selection] | None
    low: float | None
    high: float | None
    source: str | None

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the claim is about, each once."""
        return tuple(dict.fromkeys(it.arm for it in (self.value, self.minus, *(self.share_of or ())) if it))

    @property
    def counts_samples(self) -> bool:
        """Whether its numbers count right or wrong answers among the same samples."""
        places = {(it.metric, it.split, it.classes) for it in (self.value, self.minus) if it}
        counted = self.value.metric in COUNTED and self.share_of is None
        return counted and len(self.value.classes) == 1 and len(places) == 1


def claims_of(config: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Return the claims of a config that has been checked."""
    return tuple(_claim(claim) for claim in config.get("claims") or ())


def _claim(claim: Mapping[str, Any]) -> Claim:
    low, high = claim.get("between") or (claim.get("at_least"), claim.get("at_most"))
    value, whole = _selection(claim["value"]), claim.get("share_of")
    return Claim(
        say=claim["say"],
        value=value,
        minus=_selection(claim["minus"]) if claim.get("minus") else None,
        share_of=(replace(value, arm=whole[0]), replace(value, arm=whole[1])) if whole else None,
        low=low,
        high=high,
        source=claim.get("source"),
    )


def _selection(selection: Mapping[str, Any]) -> Selection:
    full = {**SELECTION, **selection}
    classes = full["classes"] if isinstance(full["classes"], list) else [full["classes"]]
    return Selection(**{**full, "classes": tuple(map(str, classes))})


def claim_problems(claims: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the `claims` of a config, where that shows without the data set."""
    if not isinstance(claims, list):
        yield f"claims={shown(claims)}: must be a list of claims; [] for none"
        return
    for i, claim in enumerate(claims):
        at = f"claims[{i}]"
        if not isinstance(claim, dict):
            yield f"{at}={shown(claim)}: must be a mapping with the keys {', '.join(KEYS)}"
            continue
        yield from key_problems(at, claim, KEYS, ("say", "value"))
        yield from text(f"{at}.say", claim["say"]) if "say" in claim else ()
        if not isinstance(claim.get("source"), str | None):
            yield f"{at}.source={shown(claim['source'])}: must be a text, or left out"
        for key in ("value", "minus"):
            if key == "value" in claim or claim.get(key) is not None:
                yield from _selection_problems(f"{at}.{key}", claim[key], config)
        yield from _share_problems(f"{at}.share_of", claim, config)
        yield from _bound_problems(at, claim)


def _selection_problems(at: str, selection: Any, config: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(selection, dict):
        yield f"{at}={shown(selection)}: must be a mapping with the keys {', '.join(SELECTION_KEYS)}"
        return
    yield from key_problems(at, selection, SELECTION_KEYS, ("arm", "metric"))
    yield from selection_problems(at, selection)
    yield from _arm_problems(f"{at}.arm", selection.get("arm"), config)


def _share_problems(at: str, claim: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    whole = claim.get("share_of")
    if whole is None:
        return
    if not (isinstance(whole, list) and len(whole) == 2 and all(isinstance(arm, str) for arm in whole)):
        yield f"{at}={shown(whole)}: must be two arms, whose difference is the whole, such as [distilled, baseline]"
        return
    if whole[0] == whole[1]:
        yield f"{at}={shown(whole)}: must be two different arms, such as [distilled, baseline]"
    if not claim.get("minus"):
        yield f"{at}={shown(whole)}: needs `minus`, since a share is one difference over another"
    for arm in whole:
        yield from _arm_problems(at, arm, config)


def _arm_problems(at: str, arm: Any, config: Mapping[str, Any]) -> Iterator[str]:
    arms = ("teacher", *(config.get("teachers") or ()), *(config.get("arms") or ()), "bayes")
    if isinstance(arm, str) and arm and arm not in (*arms, *_taken_out(config)):
        yield f"{at}={shown(arm)}: no such arm; there are {', '.join(arms)} (claims=[] drops all claims)"


def _taken_out(config: Mapping[str, Any]) -> list[str]:
    """Return the arms that the experiment's comparison names: one that the config lacks has been taken out of it."""
    comparison = config.get("comparison")
    rows = comparison.get("rows") if isinstance(comparison, dict) else None
    return [str(row.get("arm")) for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict)]


def _bound_problems(at: str, claim: Mapping[str, Any]) -> Iterator[str]:
    given = [key for key in BOUNDS if claim.get(key) is not None]
    if len(given) != 1:
        has = " and ".join(given) or "none"
        yield f"{at}: must have one bound, at_least, at_most or between: [low, high]; it has {has}"
        return
    (key,) = given
    bound = claim[key]
    limits = bound if isinstance(bound, list) and key == "between" else [bound]
    ordered = key != "between" or (len(limits) == 2 and all(map(is_finite, limits)) and limits[0] < limits[1])
    if not (ordered and all(map(is_finite, limits))):
        wanted = "two finite numbers, [low, high] with low < high" if key == "between" else "a finite number"
        yield f"{at}.{key}={shown(bound)}: must be {wanted}"
        return
    value, minus = claim.get("value"), claim.get("minus")
    metric = value.get("metric") if isinstance(value, dict) else None
    least = 0 if minus is None else -1
    if metric in SHARES and not claim.get("share_of") and not all(least <= limit <= 1 for limit in limits):
        what = metric if minus is None else f"a difference of {metric}"
        yield f"{at}.{key}={shown(bound)}: {what} lies in [{least}, 1]; 85 % is 0.85"
    if isinstance(minus, dict) and "metric" in minus and minus["metric"] != metric:
        yield f"{at}.minus.metric={shown(minus['metric'])}: must be that of {at}.value, {shown(metric)}"


def class_problems(claims: Sequence[Claim], name: str, count: int) -> Iterator[str]:
    """Yield a line for each class that a claim is about, and that the data set of this name, with `count`, lacks."""
    for i, claim in enumerate(claims):
        for key, selection in (("value", claim.value), ("minus", claim.minus)):
            for it in selection.classes if selection else ():
                if it not in GROUPS and int(it) >= count:
                    yield (
                        f"claims[{i}].{key}.classes={it}: no such class; {name} has 0 to {count - 1} "
                        "(claims=[] drops all claims)"
                    )
