"""Numbers, durations and instants as a terminal shows them: short, and of one width in a column."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import log10
from typing import Final, TypeGuard

from .sketch import MOST

NONE: Final = "-"
_LAST_INSTANT: Final = 1e11
"""The year 5138."""
_UNITS: Final = (
    (0.999_5, "ms", 0.001),
    (99.95, "s", 1.0),
    (5_997.0, "m", 60.0),
    (359_820.0, "h", 3_600.0),
)
"""Below so many seconds, which unit and how long it is."""
_ROUNDED_TO_ONE: Final = 0.995
_WHOLE_FROM: Final = 1_000
"""A rate from here on is told without decimals."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_STEPS: Final = 7.999


def duration(seconds: float | None) -> str:
    """Return three digits and a unit; a dash for None."""
    if seconds is None:
        return NONE
    if not seconds < MOST:
        return ">30y"
    for limit, unit, per in _UNITS:
        if seconds < limit:
            return f"{_three(seconds / per)}{unit}"
    return f"{_three(seconds / 86_400)}d"


def _three(value: float) -> str:
    if value < _ROUNDED_TO_ONE:
        return f"{value:.1f}".removesuffix(".0")
    digits = int(log10(max(1.0, float(f"{value:.3g}"))))
    return f"{value:,.{max(0, 2 - digits)}f}"


def share(part: float | None) -> str:
    """Return a percentage; a dash for None. Only what is all is called 100 %."""
    if part is None:
        return NONE
    percent = part * 100
    return f"{percent:.0f}%" if percent in (0.0, 100.0) else f"{min(percent, 99.9):.1f}%"


def number(count: float | None) -> str:
    """Return a count with its thousands apart, or a rate; a dash for None, nothing for 0."""
    if count is None:
        return NONE
    if count % 1 and count < _WHOLE_FROM:
        return f"{count:.1f}" if count >= 1 else f"{count:.3g}"
    return f"{count:,.0f}" if count else ""


def instant(at: float | None) -> str:
    """Return the second, in UTC."""
    return NONE if not _is_instant(at) else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def time_of_day(at: float | None) -> str:
    """Return the time of day, in UTC."""
    return NONE if not _is_instant(at) else f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def _is_instant(at: float | None) -> TypeGuard[float]:
    """Whether a calendar can tell it: a worker may measure any number of seconds."""
    return at is not None and 0.0 <= at < _LAST_INSTANT


def spark(values: Sequence[float | None]) -> str:
    """Draw values, none of them negative, as bars; a blank where there is nothing."""
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    return "".join(_BARS[int(value / most * _STEPS)] if value else " " for value in values)


def one_line(text: str | None) -> str:
    """Return text that keeps a terminal and its table in order: no control characters."""
    if text is None:
        return NONE
    return "".join(each if each.isprintable() else " " for each in text)
