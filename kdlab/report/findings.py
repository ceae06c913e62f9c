"""Sum up a run in one sentence."""

from kdlab.results import Results, Row

# With more arms than this, the sentence gives their range and names only those that others are compared with.
NAMED_ARMS = 5
NAMED_FIRST = ("teacher", "baseline")


def finding(results: Results) -> str:
    """Return the students' accuracy on classes that they never saw or, without such classes, the errors of all fits.

    Measured on `results.shown_split`, before bias correction.
    """
    students = [fit.arm for fit in results.fits if fit.teacher]
    unseen = {arm: row for arm in students if (row := _unseen(results, arm))}
    if unseen:
        return _of_unseen(results, unseen)
    counted = {fit.arm: results.find(fit.arm, "all", "errors", split=results.shown_split) for fit in results.fits}
    errors = {arm: row for arm, row in counted.items() if row}
    if not errors:
        return f"no errors on {results.shown_split} samples were measured"
    samples = f"{max(row.n for row in errors.values()):,} {results.shown_split} samples"
    if len(errors) > NAMED_ARMS + 1:
        rest = [row.value for arm, row in errors.items() if arm not in NAMED_FIRST]
        errors = {arm: row for arm, row in errors.items() if arm in NAMED_FIRST}
        return f"errors on {samples}: {_counts(errors)}; {len(rest)} students {min(rest):,.0f} to {max(rest):,.0f}"
    return f"errors on {samples}: {_counts(errors)}"


def has_unseen_samples(results: Results) -> bool:
    """Return whether the shown split has samples of classes that a student never saw."""
    return any(_unseen(results, fit.arm) for fit in results.fits)


def _counts(errors: dict[str, Row]) -> str:
    return ", ".join(f"{arm} {row.value:,.0f}" for arm, row in errors.items())


def _unseen(results: Results, arm: str) -> Row | None:
    """Return the row of a student's accuracy on classes that it never saw; None if it saw all classes."""
    # `unseen` rows of a student that saw all classes are for comparison; only other students have a correction.
    split = results.shown_split
    corrected = any(results.find(arm, "unseen", "accuracy", correction, split) for correction in ("prior", "oracle"))
    return results.find(arm, "unseen", "accuracy", split=split) if corrected else None


def _of_unseen(results: Results, unseen: dict[str, Row]) -> str:
    plain = [fit.arm for fit in results.fits if fit.arm in unseen and fit.targets == "truth"]
    taught = {arm: row for arm, row in unseen.items() if arm not in plain} or unseen
    if len(taught) > NAMED_ARMS:
        lowest, highest = (f(taught.values(), key=lambda row: row.value) for f in (min, max))
        said = f"{len(taught)} students: {_share(lowest)} to {_share(highest)} of the classes that each never saw"
    else:
        sizes = {row.n for row in taught.values()}
        held_out = [results.class_name(c) for c in results.held_out_classes]
        which = f" of class{'es' if len(held_out) > 1 else ''} {', '.join(held_out)}" if held_out else ""
        split = results.shown_split
        samples = (
            f"the {sizes.pop():,} {split} samples{which}" if len(sizes) == 1 else f"the {split} samples of classes"
        )
        pronoun = "it" if len(taught) == 1 else "they"
        said = f"{_shares(taught)} of {samples} that {pronoun} never saw"
    others = {arm: unseen[arm] for arm in plain if arm not in taught}
    return f"{said}; {_shares(others)}" if others else said


def _share(row: Row) -> str:
    return f"{100 * row.value:.1f} %"


def _shares(rows: dict[str, Row]) -> str:
    return ", ".join(f"{arm}: {_share(row)}" for arm, row in rows.items())
