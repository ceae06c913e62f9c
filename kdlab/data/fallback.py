"""Stand-ins for a data set that cannot be found: `data.fallback` names the first to try."""

import logging

from kdlab.data.digits import DigitsData
from kdlab.data.mnist5k import MNIST5kData
from kdlab.data.module import ClassificationData
from kdlab.errors import DataNotFound

STAND_INS: dict[str, type[ClassificationData]] = {"mnist5k": MNIST5kData, "digits": DigitsData}

log = logging.getLogger(__name__)


def load(data: ClassificationData) -> ClassificationData:
    """Read `data` and return it; if it cannot be found and has a fallback, return a stand-in with its settings.

    `fallback=mnist5k` tries MNIST-5k and then digits, `fallback=digits` digits alone.

    Raises:
        DataNotFound: when it cannot be found and has no fallback.
        DataError: when it cannot be used.
    """
    try:
        data.setup()
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
