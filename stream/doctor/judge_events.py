"""From what was heard to findings: events, workers, producers, clocks and queues. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from ..core.lanes import MUTE_AFTER
from ..events import QueueDepth, QueueSample, Reason
from .diagnosis import Finding, Step, broken, ok, unknown
from .hearing import Heard, HeardWorker

_FEW_SECONDS, _MANY_SECONDS = 1.0, 16.0
"""Of a clock that is off. Celery itself warns of the latter (celery/events/state.py)."""
_WORKER_FLAG: Final = "start it with -E, or set worker_send_task_events = True"
_PRODUCER_FLAG: Final = "set task_send_sent_event = True in the application that sends"
_READABLE: Final = {
    Reason.CONTENT_TYPE: "Set event_serializer = 'json': pickle, yaml and signed events are not "
    "decoded.",
}


class Listened(Struct, frozen=True):
    """How listening went."""

    seconds: float
    heard: Heard = Heard()
    events_problem: str | None = None
    """Why it ended early, or never began; None: it did not."""
    elsewhere: tuple[str, ...] = ()
    """Where nothing was heard: other channels on which something was."""
    sample: QueueSample | None = None
    """The last look at the queues."""
    queues_problem: str | None = None
    unreadable: int = 0
    """Of the last look, queues or keys that could not be read."""
    configured: tuple[str, ...] = ()
    """Queues that are to be measured in any case."""


def judge_events(listened: Listened, *, subscription: str) -> Iterator[Finding]:
    """Tell whether events arrive, and what they say of workers, producers and clocks.

    Args:
        listened: how it went.
        subscription: the channel or exchange.
    """
    heard = listened.heard
    yield from _arrival(listened, subscription)
    yield from _rejections(heard)
    if not heard.events:
        return
    if not heard.workers:
        yield unknown(Step.TASK_EVENTS, "no worker was heard", "Start a worker with -E.")
    for worker in heard.workers:
        yield _worker(worker, listened.seconds)
    yield _producers(heard, listened.seconds)
    for host, skew in heard.skews.items():
        yield _clock(host, skew)


def _arrival(listened: Listened, subscription: str) -> Iterator[Finding]:
    heard, seconds = listened.heard, f"{listened.seconds:g} s"
    if heard.events:
        says = f"{heard.events} in {seconds} on {subscription}"
        yield ok(Step.EVENTS, says, value=heard.events)
    elif listened.events_problem is not None:
        yield unknown(
            Step.EVENTS, listened.events_problem, "Do first what is said above, then look again."
        )
    elif not heard.rejected:
        yield _silence(listened.elsewhere, f"none in {seconds} on {subscription}")


def _silence(elsewhere: tuple[str, ...], says: str) -> Finding:
    if elsewhere:
        others = ", ".join(elsewhere)
        return unknown(
            Step.EVENTS,
            f"{says}, but some on {others}",
            "If that is the application, correct the database in the broker URL, and take over "
            "its event_exchange and broker_transport_options.",
        )
    return unknown(
        Step.EVENTS,
        says,
        "Start a worker with -E on this broker; if one runs, make URL, event_exchange and "
        "broker_transport_options those of the application.",
    )


def _rejections(heard: Heard) -> Iterator[Finding]:
    for reason, count in heard.rejected.items():
        advice = _READABLE.get(reason, "See who publishes that on Celery's event exchange.")
        says = f"{count} that cannot be read: {_reason(reason)}"
        yield broken(Step.EVENTS, says, advice, about=reason.value, value=count)


def _reason(reason: Reason) -> str:
    match reason:
        case Reason.CONTENT_TYPE:
            return "another serialiser than JSON or msgpack"
        case Reason.TOO_LARGE:
            return "too large"
        case Reason.ENVELOPE | Reason.MALFORMED | Reason.INVALID:
            return "not what Celery writes"


def _worker(worker: HeardWorker, seconds: float) -> Finding:
    step, about, ran = Step.TASK_EVENTS, worker.hostname, worker.executed
    if not worker.task_events:
        if ran >= MUTE_AFTER:
            says = f"it ran {ran} tasks and told of none"
            advice = f"Task events are off: {_WORKER_FLAG}."
            return broken(step, says, advice, about=about, value=ran)
        says = f"it ran {ran or 'no'} tasks in {seconds:g} s and told of none"
        advice = f"Let it run some, or listen for longer with --wait; and {_WORKER_FLAG}."
        return unknown(step, says, advice, about=about, value=ran)
    if not worker.beats:
        says = "it sends task events and no heartbeats"
        advice = "Start it without --without-heartbeat: they tell of losses and of its death."
        return unknown(step, says, advice, about=about)
    if worker.unseen:
        says = f"it told of {ran - worker.unseen} of {ran} tasks that it ran"
        advice = "See whether those have send_events=False, or the threads pool loses them."
        return unknown(step, says, advice, about=about, value=ran)
    return ok(step, "it sends them", about=about, value=ran)


def _producers(heard: Heard, seconds: float) -> Finding:
    step, told = Step.TASK_SENT, heard.received - heard.unsent
    if heard.unsent and heard.unsent >= MUTE_AFTER and not heard.sent:
        says = f"{heard.unsent} tasks were received that no producer told to have sent"
        if heard.waiting_before == 0:
            advice = f"For queue names, waits and total times, {_PRODUCER_FLAG}."
            return broken(step, says, advice, value=0)
        advice = f"They may have waited since before; if it stays so: {_PRODUCER_FLAG}."
        return unknown(step, says, advice, value=0)
    if not heard.sent:
        says = f"nothing was sent in {seconds:g} s"
        advice = f"Send a task meanwhile, or listen for longer with --wait; and {_PRODUCER_FLAG}."
        return unknown(step, says, advice, value=0)
    if heard.unsent and heard.waiting_before == 0:
        says = f"of {heard.received} tasks that workers received, {told} were told by producers"
        advice = f"For the others, {_PRODUCER_FLAG} them."
        return unknown(step, says, advice, value=heard.sent)
    return ok(step, f"producers told of {heard.sent} tasks", value=heard.sent)


def _clock(host: str, skew: float) -> Finding:
    if abs(skew) < _FEW_SECONDS:
        return ok(Step.CLOCK, f"within {_FEW_SECONDS:g} s of ours", about=host, value=skew)
    says = (
        f"{skew:.1f} s ahead of ours"
        if skew > 0
        else f"{-skew:.1f} s behind ours, or its events take so long to come"
    )
    advice = "Synchronise the clocks (NTP): each worker decides by its own when an ETA has come."
    judge = unknown if abs(skew) < _MANY_SECONDS else broken
    return judge(Step.CLOCK, says, advice, about=host, value=skew)


def judge_queues(listened: Listened) -> Iterator[Finding]:
    """Tell of each queue how much waits in it."""
    sample = listened.sample
    if sample is None:
        says = listened.queues_problem or "they were not looked at in time"
        yield unknown(Step.QUEUE, says, "Do first what is said above, then look again.")
        return
    for queue in sample.queues:
        yield ok(Step.QUEUE, _depth(queue), about=queue.name, value=sum(queue.ready.values()))
    yield from _missing(listened.configured, sample.queues)
    if not sample.queues:
        advice = "Start a worker or send a task, or name the queues with --queues."
        yield unknown(Step.QUEUE, "none was found", advice)
    if listened.unreadable:
        says = f"{listened.unreadable} could not be read"
        advice = "See whether the user may read their keys, and whether they are Celery's."
        yield unknown(Step.QUEUE, says, advice, value=listened.unreadable)


def _missing(configured: Iterable[str], found: Iterable[QueueDepth]) -> Iterator[Finding]:
    names = {queue.name for queue in found}
    for name in configured:
        if name not in names:
            advice = "Correct --queues, or start a worker that declares it."
            yield unknown(Step.QUEUE, "it is not there", advice, about=name)


def _depth(queue: QueueDepth) -> str:
    waiting = f"{sum(queue.ready.values()):,} waiting"
    held = queue.unacknowledged
    return waiting if held is None else f"{waiting}, {held:,} at workers"
