"""Which traces are kept: the samplers by OpenTelemetry's names, and a budget above them.

Consistent: a span is kept where the randomness R of its trace, the low 56 bits of the trace id or
the ``rv`` of its ``tracestate``, is no less than a threshold T. So all spans of a trace share one
decision, here and in every other process that decides so, and a trace that is kept at one share is
kept at every larger one. What is kept in any case does not ask R.

The threshold is told as ``ot=th:`` in the ``tracestate``, where it says how many traces a span
stands for. Where nothing can be left out it is not written: the ``tracestate`` stays as it came.
"""

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ..config import SpanSettings
from ..core.trace import Trace, TraceSource
from . import tracestate
from .budget import NEVER, Budget, share
from .identity import RANDOM, SAMPLED, Origin, origin
from .tracestate import BITS

_MASK: Final = NEVER - 1
_PRECISION_BITS: Final = 16
"""Of a ratio: four hex digits, as the specification has them by default."""
_ODD_DIGITS: Final = frozenset("13579bdf")
"""The last digit of a ``traceparent`` whose sampled flag is set."""
_THRESHOLDS: Final = {"always_on": 0, "always_off": NEVER}


class Kept(Struct, frozen=True, gc=False):
    """A decision to keep a span."""

    threshold: int | None
    """To tell in its ``tracestate``; None leaves that as it came."""


AS_IT_CAME: Final = Kept(None)
ALWAYS: Final = Kept(0)


class Sampler:
    """Decides for one span after the other.

    Args:
        settings: names the sampler, its ratio and the budget.
    """

    def __init__(self, settings: SpanSettings) -> None:
        root = settings.sampler.removeprefix("parentbased_")
        self._parent_based = root != settings.sampler
        self._root = _THRESHOLDS[root] if root in _THRESHOLDS else threshold_of(settings.ratio)
        self._budget = Budget(settings.budget) if settings.budget > 0 else None
        self._tells = self._root > 0 or self._budget is not None

    @property
    def ratio(self) -> float:
        """The share of traces, 0 to 1, that is kept now of those that nobody else decided on."""
        limit = 0 if self._budget is None else self._budget.threshold
        return share(max(self._root, limit))

    def asks(self, trace: Trace | None) -> bool:
        """Whether there is anything to `decide`; else every span of this trace is `AS_IT_CAME`.

        For the event path: it does not read the whole of *trace*.
        """
        if self._tells:
            return True
        if trace is None:
            return False
        if trace.tracestate is not None and tracestate.PREFIX in trace.tracestate:
            return True
        return self._parent_based and trace.traceparent[54:55] not in _ODD_DIGITS

    def decide(
        self, trace: Trace | None, root_id: str | None, uuid: str, *, at: float, always: bool
    ) -> Kept | None:
        """Decide on one span; None leaves it out.

        Args:
            trace: like ``root_id`` and ``uuid``, as `identity.origin` takes it.
            root_id: see there.
            uuid: see there.
            at: epoch seconds at which the span becomes known.
            always: it is kept, whatever its trace.
        """
        found = origin(trace, root_id, uuid)
        told = tracestate.read(found.trace_state)
        inherits = self._parent_based and found.source is not TraceSource.DERIVED
        inherited = 0 if found.flags & SAMPLED else NEVER
        threshold = inherited if inherits else self._root
        if always:
            return self._keep(at, told.threshold, left_out=threshold == NEVER)
        randomness = randomness_of(found) if told.randomness is None else told.randomness
        if randomness < threshold:
            return None
        if self._budget is not None:
            if not self._budget.offer(randomness, at):
                return None
            threshold = max(threshold, self._budget.threshold)
        # A threshold of whoever began the trace holds, unless ours says more or he is not asked.
        holds = inherits and threshold <= (told.threshold or 0)
        in_question = self._tells or told.threshold is not None
        return Kept(threshold) if in_question and not holds else AS_IT_CAME

    def _keep(self, at: float, told: int | None, *, left_out: bool) -> Kept:
        """Keep what is kept in any case, and say so where it was in question."""
        if self._budget is not None:
            self._budget.spend(at)
        in_question = self._tells or left_out or told is not None
        return ALWAYS if in_question else AS_IT_CAME


def threshold_of(ratio: float) -> int:
    """Return the threshold that keeps this share of traces, 0 to 1."""
    kept = round(ratio * NEVER)
    rest = max(kept.bit_length() - _PRECISION_BITS, 0)
    return NEVER - (kept >> rest << rest)


def randomness_of(found: Origin) -> int:
    """Return the 56 random bits of a trace, where its ``tracestate`` has no ``rv``."""
    hashed = explicit_randomness(found)
    return found.trace_id & _MASK if hashed is None else hashed


def explicit_randomness(found: Origin) -> int | None:
    """Return what to tell as ``rv``: a hash, where we made the trace id of an id without chance.

    Such as a UUID of version 1, which ends in a MAC address: a ratio would keep all or none.
    """
    if found.source is not TraceSource.DERIVED or found.flags & RANDOM:
        return None
    digest = blake2b(found.trace_id.to_bytes(16, "big"), digest_size=BITS // 8).digest()
    return int.from_bytes(digest, "big")


def trace_state_of(found: Origin, threshold: int | None) -> str:
    """Return the ``tracestate`` of a span that was kept at this threshold; None: as it came."""
    if threshold is None:
        return found.trace_state
    return tracestate.with_threshold(
        found.trace_state, threshold, randomness=explicit_randomness(found)
    )
