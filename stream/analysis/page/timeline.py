"""A sink that makes the series of a page. The period and the names are known before."""

from collections.abc import Sequence
from typing import Final

from ...core.effects import AttemptEnded, Effect, Sent
from ...core.kinds import OTHER
from ...core.states import State
from ..outcomes import UNNAMED
from ..scope import GIVEN_UP, Scope
from ..sketch import Latency
from .content import Counts, Latencies, Timelines
from .durations import Durations
from .intervals import Intervals

_OUTCOMES: Final = {
    State.SUCCESS: "succeeded",
    State.RETRY: "retried",
    State.FAILURE: "failed",
}
_OTHER_OUTCOME: Final = "revoked or rejected"
_FAILED: Final = frozenset({State.FAILURE, State.RETRY})


class Timeline:
    """Counts and measures by interval.

    Args:
        intervals: of the period.
        scope: what is reported.
        tasks: the names that get latencies of their own.
        errors: the exceptions that get counts of their own.
    """

    def __init__(
        self, intervals: Intervals, scope: Scope, *, tasks: Sequence[str], errors: Sequence[str]
    ) -> None:
        self._intervals, self._scope = intervals, scope
        self._sent = self._zeros()
        self._running = [0.0] * intervals.count
        names = (*_OUTCOMES.values(), _OTHER_OUTCOME)
        self._ended = {name: self._zeros() for name in names}
        self._errors = {name: self._zeros() for name in dict.fromkeys((*errors, OTHER))}
        self._runs: dict[str | None, Durations] = {None: Durations()}
        self._waits: dict[str | None, Durations] = {None: Durations()}
        for name in tasks:
            self._runs[name], self._waits[name] = Durations(), Durations()

    def _zeros(self) -> list[int]:
        return [0] * self._intervals.count

    def accept(self, effects: Sequence[Effect]) -> None:
        """Take in what happened."""
        for effect in effects:
            if isinstance(effect, AttemptEnded):
                self._take_attempt(effect)
            elif type(effect) is Sent:
                self._take_sent(effect)

    def _take_sent(self, sent: Sent) -> None:
        scope = self._scope
        if scope.has_instant(sent.sent_at) and scope.has_task_of(sent.uuid, sent.kind):
            self._sent[self._intervals.index(sent.sent_at)] += 1

    def _take_attempt(self, ended: AttemptEnded) -> None:
        if not self._scope.has_attempt(ended):
            return
        if ended.started_at is not None:
            for place, seconds in self._intervals.shares(ended.started_at, ended.ended_at):
                self._running[place] += seconds
        # After the end the engine concludes what it waited for in vain.
        if ended.state in GIVEN_UP or (ended.inferred and ended.ended_at > self._intervals.end_at):
            return
        place = self._intervals.index(ended.ended_at)
        self._ended[_OUTCOMES.get(ended.state, _OTHER_OUTCOME)][place] += 1
        if ended.state in _FAILED:
            error = ended.error_type or OTHER
            self._errors.get(error, self._errors[OTHER])[place] += 1
        self._measure(ended, place)

    def _measure(self, ended: AttemptEnded, place: int) -> None:
        name = UNNAMED if ended.kind.name is None else ended.kind.name
        if ended.run is not None:
            self._runs[None].add(place, ended.run)
            if name in self._runs:
                self._runs[name].add(place, ended.run)
        if ended.wait is not None and ended.started_at is not None:
            place = self._intervals.index(ended.started_at)
            self._waits[None].add(place, ended.wait)
            if name in self._waits:
                self._waits[name].add(place, ended.wait)

    # -- what it comes to ----------------------------------------------------------------------

    def run(self) -> Latency:
        """Tell the runs of all attempts."""
        return self._runs[None].total()

    def wait(self) -> Latency:
        """Tell the waits of all attempts."""
        return self._waits[None].total()

    def read(self, *, tasks: int) -> Timelines:
        """Tell the series.

        Args:
            tasks: how many names there are.
        """
        count, width = self._intervals.count, self._intervals.width
        return Timelines(
            self._intervals.starts_at,
            width,
            count,
            tuple(self._sent),
            _counts(self._ended),
            _counts(self._errors),
            tuple(round(seconds / width, 6) for seconds in self._running),
            tuple(
                Latencies(name, self._runs[name].curves(count), self._waits[name].curves(count))
                for name in self._runs
            ),
            max(0, tasks - len(self._runs) + 1),
        )


def _counts(by_name: dict[str, list[int]]) -> tuple[Counts, ...]:
    return tuple(Counts(name, tuple(values)) for name, values in by_name.items() if any(values))
