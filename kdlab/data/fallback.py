"""What happens when a data set cannot be had: `data.fallback` decides."""

import logging

from kdlab.data.digits import DigitsData
from kdlab.data.module import ClassificationData
from kdlab.errors import DataNotFound

log = logging.getLogger(__name__)


def load(data: ClassificationData) -> ClassificationData:
    """Read `data` and return it; where it cannot be had and its fallback says so, return digits with its settings.

    Raises:
        DataNotFound: when it cannot be had and has no fallback.
        DataError: when it cannot be used.
    """
    try:
        data.setup()
        return data
    except DataNotFound as error:
        if data.fallback is None:
            raise
        rule = "!" * 100
        log.warning(
            "\n%s\n%s IS NOT AVAILABLE: scikit-learn's 8x8 DIGITS are used instead (data.fallback=digits).\n"
            "Every result of this run is about digits, not about %s.\n%s\n%s",
            rule, data.name.upper(), data.name, error, rule,
        )  # fmt: skip
    return digits_instead_of(data)


def digits_instead_of(data: ClassificationData) -> ClassificationData:
    """Return digits, read, with the settings of `data`."""
    digits = DigitsData(
        batch_size=data.batch_size,
        val_size=data.val_size,
        split_seed=data.split_seed,
        held_out_classes=data.held_out,
    )
    digits.setup()
    return digits
