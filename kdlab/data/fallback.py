"""Stand-ins for a data set that cannot be found: `data.fallback` names the first to try."""

import logging
from pathlib import Path

from kdlab.data.digits import DigitsData
from kdlab.data.mnist5k import MNIST5kData
from kdlab.data.module import ClassificationData
from kdlab.errors import DataNotFound
from kdlab.files import write_text
from kdlab.hashing import short_hash

STAND_INS: dict[str, type[ClassificationData]] = {"mnist5k": MNIST5kData, "digits": DigitsData}

log = logging.getLogger(__name__)


def load(data: ClassificationData, memory: Path | None = None, began: float = 0.0) -> ClassificationData:
    """Read `data` and return it; if it cannot be found and has a fallback, return a stand-in with its settings.

    `fallback=mnist5k` tries MNIST-5k and then digits, `fallback=digits` digits alone.

    Args:
        data: the data set.
        memory: a folder that the points of a sweep share, which keeps what could not be found: a silent network costs
            the sweep 20 seconds, and not each of its points. None for a single run.
        began: when the command was given, in seconds since the epoch; what an earlier one could not find is tried anew.

    Raises:
        DataNotFound: when it cannot be found and has no fallback.
        DataError: when it cannot be used.
    """
    try:
        _set_up(data, memory, began)
        return data
    except DataNotFound as error:
        if data.fallback is None:
            raise
        missing = error
    for name in list(STAND_INS)[list(STAND_INS).index(data.fallback) :]:
        try:
            found = stand_in(data, STAND_INS[name])
        except DataNotFound as error:
            log.warning("%s", error)
            continue
        rule = "!" * 100
        log.warning(
            "\n%s\n%s IS NOT AVAILABLE: %s is used instead (data.fallback=%s).\n"
            "Every result of this run is about %s, not about %s.\n%s\n%s",
            rule, data.name.upper(), found.name, data.fallback, found.name, data.name, missing, rule,
        )  # fmt: skip
        return found
    raise missing


def _set_up(data: ClassificationData, memory: Path | None, began: float) -> None:
    if memory is None or data.download_place is None:
        data.setup()
        return
    failure = memory / f".not-found-{short_hash(data.download_place)}"
    if failure.exists() and failure.stat().st_mtime >= began:
        raise DataNotFound(failure.read_text())
    try:
        data.setup()
    except DataNotFound as error:
        write_text(str(error), failure)
        raise


def stand_in(data: ClassificationData, kind: type[ClassificationData]) -> ClassificationData:
    """Return a data set of another kind, read, with the settings of `data`.

    Raises:
        DataNotFound: when it cannot be found either.
    """
    found = kind(
        batch_size=data.batch_size,
        val_size=data.val_size,
        split_seed=data.split_seed,
        held_out_classes=data.held_out,
    )
    found.setup()
    return found
