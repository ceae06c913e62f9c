"""Sum up a run, or several that differ in their seeds alone, in one sentence."""

from collections.abc import Sequence

from kdlab.report.averages import Averages, Mean, Several, as_list, averaged
from kdlab.report.tables import spread
from kdlab.results import Results

# With more arms than this, the sentence gives their range and names only those that others are compared with.
NAMED_ARMS = 5
NAMED_FIRST = ("teacher", "baseline")


def finding(results: Several) -> str:
    """Return the students' accuracy on classes that they never saw or, without such classes, the errors of all fits.

    Measured on `shown_split`, before bias correction. Of several runs, means ± half of their 95 % intervals.
    """
    found = averaged(results)
    said = _finding(found, as_list(results))
    return f"{said} (means over {found.called} ± half of their 95 % intervals)" if found.runs > 1 else said


def _finding(found: Averages, several: Sequence[Results]) -> str:
    targets = {fit.arm: fit.targets for it in several for fit in it.fits if fit.teacher}
    unseen = {arm: share for arm in found.arms if arm in targets and (share := _unseen(found, arm))}
    if unseen:
        plain = [arm for arm in unseen if targets[arm] == "truth"]
        held_out = [several[0].class_name(c) for c in several[0].held_out_classes]
        return _of_unseen(found.split, unseen, plain, held_out)
    errors = {arm: mean for arm in found.arms if (mean := found.find(arm, "all", "errors"))}
    if not errors:
        return f"no errors on {found.split} samples were measured"
    samples = _samples(max(mean.n for mean in errors.values()), found.split)
    if len(errors) > NAMED_ARMS + 1:
        rest = [mean.value for arm, mean in errors.items() if arm not in NAMED_FIRST]
        errors = {arm: mean for arm, mean in errors.items() if arm in NAMED_FIRST}
        return f"errors on {samples}: {_counts(errors)}; {len(rest)} students {min(rest):,.0f} to {max(rest):,.0f}"
    return f"errors on {samples}: {_counts(errors)}"


def has_unseen_samples(results: Several) -> bool:
    """Return whether the shown split has samples of classes that a student never saw."""
    found = averaged(results)
    return any(_unseen(found, arm) for arm in found.arms)


def _counts(errors: dict[str, Mean]) -> str:
    return ", ".join(
        f"{arm} {mean.value:,.1f} ± {mean.half:,.1f}" if mean.fits > 1 else f"{arm} {mean.value:,.0f}"
        for arm, mean in errors.items()
    )


def _unseen(found: Averages, arm: str) -> Mean | None:
    """Return a student's accuracy on classes that it never saw; None if it saw all classes."""
    # `unseen` rows of a student that saw all classes are for comparison; only other students have a correction.
    corrected = any(found.find(arm, "unseen", "accuracy", correction) for correction in ("prior", "oracle"))
    return found.find(arm, "unseen", "accuracy") if corrected else None


def _of_unseen(split: str, unseen: dict[str, Mean], plain: Sequence[str], held_out: Sequence[str]) -> str:
    taught = {arm: share for arm, share in unseen.items() if arm not in plain} or unseen
    if len(taught) > NAMED_ARMS:
        lowest, highest = (f(taught.values(), key=lambda share: share.value) for f in (min, max))
        said = f"{len(taught)} students: {_share(lowest)} to {_share(highest)} of the classes that each never saw"
    else:
        sizes = {share.n for share in taught.values()}
        which = f" of class{'es' if len(held_out) > 1 else ''} {', '.join(held_out)}" if held_out else ""
        samples = f"{_samples(min(sizes), split)}{which}" if len(sizes) == 1 else f"{split} samples of classes"
        pronoun = "it" if len(taught) == 1 else "they"
        said = f"{_shares(taught)} of the {samples} that {pronoun} never saw"
    others = {arm: unseen[arm] for arm in plain if arm not in taught}
    return f"{said}; {_shares(others)}" if others else said


def _samples(n: int, split: str) -> str:
    return f"{n:,} {split} samples" if n else f"{split} samples"


def _share(share: Mean) -> str:
    return f"{spread(100 * share.value, 100 * share.half, digits=1)} %"


def _shares(shares: dict[str, Mean]) -> str:
    return ", ".join(f"{arm}: {_share(share)}" for arm, share in shares.items())
