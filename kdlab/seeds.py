"""Independent random streams from one seed, so that a change in one of them leaves the others as they were."""

import numpy as np


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Return a 32-bit seed for one purpose (`weights`, `order`, `epoch`, …) and index, a pure function of the three."""
    sequence = np.random.SeedSequence([seed, index, *purpose.encode()])
    return int(sequence.generate_state(1)[0])
