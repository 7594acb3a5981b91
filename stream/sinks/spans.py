"""Effects become spans: one for publishing each attempt, one for waiting long, one for each run.

On the event loop only their fate is decided: whether the settings want a span, and whether its
trace is kept (see `sampling`). Anomalies are kept whatever becomes of their trace. They are runs
that

* ended as FAILURE, RETRY, LOST, UNKNOWN, REJECTED, REQUEUED or CANCELLED, which are all the ends
  that nobody wished for (a SUCCESS is none, nor are REVOKED and REPLACED: somebody asked for them;
  nor is the RETRY of a task that Celery itself sends to wait for something),
* or had been delivered before,
* or ran for as long as is called slow.

``spans.process`` rules the spans of runs only, ``spans.send`` those of publishing; waiting has its
own also where they have none.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from ..config import SpanSettings
from ..core.effects import AttemptEnded, Effect, Sent, Succeeded, WaitedLong
from ..core.states import State
from ..export.buffer import Buffer
from ..export.records import SpanDraft
from ..export.resources import Resources
from .exceptions import trimmed
from .identity import has_creator
from .redaction import Redaction
from .sampling import AS_IT_CAME, Kept, Sampler
from .span_drafts import ProcessDraft, SendDraft, WaitDraft, draft_bytes
from .span_records import Observed, Spanned, process_span

__all__ = [
    "Left",
    "Observed",
    "SpanSink",
    "SpanStatistics",
    "draft_bytes",
    "is_anomaly",
    "process_span",
]

_UNWISHED: Final = frozenset(
    {
        State.FAILURE,
        State.RETRY,
        State.LOST,
        State.UNKNOWN,
        State.REJECTED,
        State.REQUEUED,
        State.CANCELLED,
    }
)


class Left(StrEnum):
    """Why a span was left out."""

    SAMPLED_OUT = "sampled_out"
    """Its trace is not kept."""
    POLICY = "policy"
    """``spans.process``, or ``spans.send``, wants none."""


class SpanStatistics(Struct, frozen=True):
    """What became of the spans that could have been, since the start."""

    kept: int
    left: dict[Left, int]
    ratio: float
    """The share of traces, 0 to 1, that is kept now of those that nobody else decided on."""


class SpanSink:
    """Hands spans to the export.

    Args:
        buffer: where they wait; None makes none.
        resources: the resource of each worker.
        system: the broker, as ``messaging.system`` has it.
        settings: which spans are wanted.
        redaction: hides what no exception may tell.
        sampler: shared with the other brokers; None: one of its own.
        broker: the name that spans tell; None: none.
    """

    def __init__(
        self,
        buffer: Buffer[SpanDraft] | None,
        resources: Resources,
        *,
        system: str = "redis",
        settings: SpanSettings = SpanSettings(),  # noqa: B008 - frozen
        redaction: Redaction = Redaction(()),  # noqa: B008 - immutable
        sampler: Sampler | None = None,
        broker: str | None = None,
    ) -> None:
        self._redaction = redaction
        self._buffer = buffer
        self._settings = settings
        self._observed = Observed(
            resources,
            system,
            runs=settings.process != "never",
            broker=broker,
            sends=settings.send != "never",
        )
        self._sampler = sampler or Sampler(settings)
        self._all_runs = settings.process == "always"
        # Of tasks in nobody's trace, which there is nothing to ask about.
        self._all_own_runs = self._all_runs and not self._sampler.asks(None)
        self._all_own_sends = self._observed.sends and not self._sampler.asks(None)
        self._kept = 0
        self._left = dict.fromkeys(Left, 0)

    def accept(self, effects: Sequence[Effect]) -> None:
        """Keep what spans are made of; they are made in the export thread."""
        if self._buffer is None:
            return
        drafts: list[SpanDraft] = []
        draft: SpanDraft | None
        for effect in effects:
            # By the exact type, which is three times as fast as `isinstance`.
            if type(effect) is Succeeded or type(effect) is AttemptEnded:
                draft = self._process(effect)
            elif type(effect) is Sent:
                draft = self._send(effect)
            elif type(effect) is WaitedLong:
                draft = self._wait(effect)
            else:
                continue
            if draft is not None:
                drafts.append(draft)
        if drafts:
            self._kept += len(drafts)
            self._buffer.extend(drafts)

    def statistics(self) -> SpanStatistics:
        """Return what became of the spans so far, and the share of traces that is kept now."""
        return SpanStatistics(self._kept, dict(self._left), self._sampler.ratio)

    def _process(self, ended: AttemptEnded) -> SpanDraft | None:
        own = self._all_own_runs and ended.trace is None and type(ended) is Succeeded
        if own and ended.arguments is None:  # nearly always
            return ProcessDraft(ended, self._observed, None)
        if self._all_runs and not self._sampler.asks(ended.trace):
            return ProcessDraft(self._lean(ended), self._observed, None)
        anomaly = is_anomaly(ended, slow=self._settings.slow)
        policy = self._settings.process
        if policy == "never" or (policy == "anomalies" and not anomaly):
            self._left[Left.POLICY] += 1
            return None
        kept = self._judge(ended, at=ended.ended_at, always=anomaly)
        return (
            None
            if kept is None
            else ProcessDraft(self._lean(ended), self._observed, kept.threshold)
        )

    def _lean(self, ended: AttemptEnded) -> AttemptEnded:
        """Return the effect with what a span is made of, for it may wait for long."""
        if ended.arguments is not None or ended.result is not None:
            ended = structs.replace(ended, arguments=None, result=None)
        return trimmed(ended, self._redaction)

    def _send(self, sent: Sent) -> SpanDraft | None:
        if self._all_own_sends and sent.trace is None:  # nearly always
            return SendDraft(sent, self._observed, None)
        if has_creator(sent.trace):
            return None
        if not self._observed.sends:
            self._left[Left.POLICY] += 1
            return None
        kept = self._judge(sent, at=sent.sent_at)
        return None if kept is None else SendDraft(sent, self._observed, kept.threshold)

    def _wait(self, waited: WaitedLong) -> SpanDraft | None:
        kept = self._judge(waited, at=waited.started_at)
        return None if kept is None else WaitDraft(waited, self._observed, kept.threshold)

    def _judge(self, effect: Spanned, *, at: float, always: bool = False) -> Kept | None:
        """Ask the sampler, unless there is nothing to ask."""
        if not self._sampler.asks(effect.trace):
            return AS_IT_CAME
        kept = self._sampler.decide(effect.trace, effect.root_id, effect.uuid, at=at, always=always)
        if kept is None:
            self._left[Left.SAMPLED_OUT] += 1
        return kept


def together(statistics: Sequence[SpanStatistics]) -> SpanStatistics:
    """Add up the statistics of sinks that share a sampler; there is at least one."""
    left = {reason: sum(each.left[reason] for each in statistics) for reason in Left}
    return SpanStatistics(sum(each.kept for each in statistics), left, statistics[0].ratio)


def is_anomaly(ended: AttemptEnded, *, slow: float) -> bool:
    """Whether a run is worth keeping whatever becomes of its trace.

    Args:
        ended: the run.
        slow: seconds of running that are called slow; 0 calls none so.
    """
    if ended.redelivered or ended.ordinal > 0:
        return True
    if slow > 0 and ended.run is not None and ended.run >= slow:
        return True
    return ended.state in _UNWISHED and not (ended.kind.internal and ended.state is State.RETRY)
