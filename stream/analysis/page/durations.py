"""Quantiles of durations over time, for many intervals at once.

A sketch in use takes a hundred bytes for each of its buckets, and a page has thousands of them.
Time goes on, so few intervals are added to at a time: the others are packed, in ten bytes a bucket.
"""

from array import array
from collections.abc import Iterator
from typing import Final

from ..sketch import Latency, Sketch
from .content import Curves

_OPEN: Final = 4
"""Intervals that are added to at a time: the one now, the ones before it for what comes late."""


class Durations:
    """Counts durations by interval."""

    def __init__(self) -> None:
        self._open: dict[int, Sketch] = {}
        self._packed: dict[int, _Packed] = {}

    def add(self, place: int, seconds: float) -> None:
        """Count a duration in an interval."""
        sketch = self._open.get(place)
        if sketch is None:
            sketch = self._opened(place)
        sketch.add(seconds)

    def _opened(self, place: int) -> Sketch:
        if len(self._open) >= _OPEN:
            oldest = next(iter(self._open))
            self._packed[oldest] = _Packed(self._open.pop(oldest))
        packed = self._packed.pop(place, None)
        sketch = self._open[place] = Sketch() if packed is None else packed.sketch()
        return sketch

    def _sketches(self) -> Iterator[tuple[int, Sketch]]:
        yield from self._open.items()
        for place, packed in self._packed.items():
            yield place, packed.sketch()

    def curves(self, intervals: int) -> Curves:
        """Tell the quantiles of each interval."""
        read = {place: sketch.read() for place, sketch in self._sketches()}
        found = [read.get(place) for place in range(intervals)]
        return Curves(
            tuple(None if each is None else each.p50 for each in found),
            tuple(None if each is None else each.p95 for each in found),
            tuple(None if each is None else each.p99 for each in found),
            tuple(None if each is None else each.max for each in found),
        )

    def total(self) -> Latency:
        """Tell those of the whole time."""
        whole = Sketch()
        for _, sketch in sorted(self._sketches(), key=lambda each: each[0]):
            whole.merge(sketch)
        return whole.read()


class _Packed:
    """A sketch at rest."""

    __slots__ = ("_counts", "_indices", "_most", "_seconds", "_zeros")

    def __init__(self, sketch: Sketch) -> None:
        self._indices = array("h", sketch.buckets.keys())
        self._counts = array("Q", sketch.buckets.values())
        self._zeros, self._seconds, self._most = sketch.zeros, sketch.seconds, sketch.most

    def sketch(self) -> Sketch:
        sketch = Sketch()
        sketch.buckets.update(zip(self._indices, self._counts, strict=True))
        sketch.zeros, sketch.seconds, sketch.most = self._zeros, self._seconds, self._most
        return sketch
