"""The outline of a long sequence: few points that show where it went, peaks included."""

import numpy as np
from jaxtyping import Float

__all__ = ["outline"]


def outline(values: Float[np.ndarray, "steps"], most: int) -> tuple[list[int], list[float | None]]:
    """Choose points of a channel so that a line through them looks like the whole.

    A channel of more than `most` steps is cut into parts of equal length, of which the smallest and
    the largest value are kept.

    Args:
        values: of one channel; NaN is missing.
        most: points, at least 2.

    Returns:
        Their places, increasing, and the values there; None where a whole part is missing.

    Example:
        >>> import numpy as np
        >>> outline(np.array([0.0, 5, 1, 1, -3, 2]), 4)
        ([0, 1, 4, 5], [0.0, 5.0, -3.0, 2.0])
    """
    if len(values) <= most:
        return list(range(len(values))), [None if v != v else float(v) for v in values]
    places: list[int] = []
    found: list[float | None] = []
    for part in np.array_split(np.arange(len(values)), most // 2):
        known = part[~np.isnan(values[part])]
        if not len(known):
            places.append(int(part[0]))
            found.append(None)
            continue
        low, high = known[values[known].argmin()], known[values[known].argmax()]
        for place in sorted({int(low), int(high)}):
            places.append(place)
            found.append(float(values[place]))
    return places, found
