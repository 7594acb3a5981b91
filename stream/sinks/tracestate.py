"""The W3C ``tracestate`` and OpenTelemetry's entry in it, as far as sampling needs them.

`th` is the threshold below which the randomness of a trace had it left out, `rv` a randomness that
stands for that of the trace id (OpenTelemetry specification, "TraceState: Probability Sampling").
Whatever text comes, what is made of it keeps W3C's limits; what cannot be read says nothing.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

BITS: Final = 56
"""Of randomness, and of a threshold."""

# W3C Trace Context, sections 3.3.1.1 to 3.3.1.5.
MOST_MEMBERS: Final = 32
MOST_CHARACTERS: Final = 512
"""What everybody passes on at least: beyond it, another on the way may drop the whole."""
MOST_VALUE_CHARACTERS: Final = 256

PREFIX: Final = "ot="
"""Of OpenTelemetry's entry."""
_DIGITS: Final = BITS // 4
_DISTINCT: Final = 256
"""Texts that are remembered: most traces have the same, or none."""
# Keys as level 2 has them, which allows more than level 1.
_MEMBER: Final = re.compile(
    r"([a-z0-9][a-z0-9_\-*/@]{0,255})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_ENTRY: Final = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9._-]*")
_THRESHOLD: Final = re.compile(rf"th:([0-9a-f]{{1,{_DIGITS}}})")
_RANDOMNESS: Final = re.compile(rf"rv:([0-9a-f]{{{_DIGITS}}})")


class Sampling(NamedTuple):
    """What a ``tracestate`` says about sampling; None where it does not."""

    threshold: int | None
    randomness: int | None


_NOTHING: Final = Sampling(None, None)


@lru_cache(_DISTINCT)
def read(state: str) -> Sampling:
    """Read what *state* says about sampling. Never raises."""
    if PREFIX not in state:
        return _NOTHING
    threshold = randomness = None
    for entry in _own_entries(_members(state)):
        if found := _THRESHOLD.fullmatch(entry):
            threshold = int(found[1].ljust(_DIGITS, "0"), 16)
        elif found := _RANDOMNESS.fullmatch(entry):
            randomness = int(found[1], 16)
    return Sampling(threshold, randomness)


@lru_cache(_DISTINCT)
def with_threshold(state: str, threshold: int, *, randomness: int | None = None) -> str:
    """Return *state* with this threshold in OpenTelemetry's entry, which comes first.

    The other entries stay as they are and in their order, as far as they are valid and the limits
    have room.

    Args:
        state: a ``tracestate``, empty where there is none.
        threshold: below 2**56.
        randomness: an ``rv`` to add where *state* has none.
    """
    members = _members(state)
    entries = [f"th:{f'{threshold:0{_DIGITS}x}'.rstrip('0') or '0'}"]
    kept = [entry for entry in _own_entries(members) if not entry.startswith("th:")]
    kept.sort(key=lambda entry: not _RANDOMNESS.fullmatch(entry))  # before what may not fit
    if randomness is not None and not (kept and _RANDOMNESS.fullmatch(kept[0])):
        entries.append(f"rv:{randomness:0{_DIGITS}x}")
    entries += kept
    own = PREFIX + _joined(entries, ";", most=MOST_VALUE_CHARACTERS)
    others = [member for member in members if not member.startswith(PREFIX)]
    return _joined([own, *others][:MOST_MEMBERS], ",", most=MOST_CHARACTERS)


def _members(state: str) -> list[str]:
    """Split into the valid ``key=value``, the first of each key: a repeated one spoils them all."""
    found = (_MEMBER.fullmatch(member.strip(" \t")) for member in state.split(","))
    members: dict[str, str] = {}
    for each in found:
        if each is not None:
            members.setdefault(each[1], each[0])
    return list(members.values())


def _own_entries(members: list[str]) -> list[str]:
    """Return the valid ``key:value`` of OpenTelemetry's entry."""
    for member in members:
        if member.startswith(PREFIX):
            entries = member[len(PREFIX) :].split(";")
            return [entry for entry in entries if _ENTRY.fullmatch(entry)]
    return []


def _joined(parts: list[str], separator: str, *, most: int) -> str:
    """Join the first of *parts*, up to the one that would make the text longer than *most*."""
    joined = parts[0]
    for part in parts[1:]:
        if len(joined) + len(separator) + len(part) > most:
            break
        joined += separator + part
    return joined
