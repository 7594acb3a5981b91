"""Opt-in for workers and producers: lets their events tell what headers a message had.

One line in the module of the Celery application joins what this service shows with the
application's own traces::

    from stream.plugin import install

    install(app)

``task-sent`` and ``task-received`` then carry ``traceparent``, ``tracestate`` and ``sentry_trace``
as far as the message has such headers, and ``task-received`` also ``exchange``, ``routing_key``
and ``redelivered``. Who writes those headers is not its business: it imports Celery and the
standard library only, and nothing of the service.

It runs inside of somebody else's worker, so whatever goes wrong in it, the event goes out as it
would without it. What it remembers between a signal and the event that follows in the same thread
is found by the task's id, a few entries at most.
"""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.events.dispatcher import EventDispatcher
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import before_task_publish, task_received
from celery.utils.log import get_logger

MAX_LENGTH = 512
"""Characters of a value; a longer one is left out, since half of it would say something else."""

_FIELDS = (
    ("traceparent", "traceparent"),
    ("tracestate", "tracestate"),
    ("sentry-trace", "sentry_trace"),
)
_EXTENDED = frozenset({"task-sent", "task-received"})
_NESTED = 4  # a handler of after_task_publish may publish a task, and so on
_logger = get_logger(__name__)


def install(app: Celery) -> None:
    """Let the events of an application carry what links its tasks to traces.

    Call it in the module that makes the application, which both the workers and the producers
    import, after ``events_cls`` is set if it is. A dispatcher of the application's own is kept,
    as the base class of the one installed. Calling it again changes nothing.

    Args:
        app: the application; others in the same process are left as they are.
    """
    dispatcher = app.events.Dispatcher
    if not issubclass(dispatcher, LinkingDispatcher):
        namespace = {"__module__": __name__, "__doc__": LinkingDispatcher.__doc__}
        dispatcher = type(dispatcher.__name__, (LinkingDispatcher, dispatcher), namespace)
        app.events.Dispatcher = dispatcher
        _convert_the_producers(app, dispatcher)
    before_task_publish.connect(_note_publishing, weak=False, dispatch_uid=f"{__name__}.sent")
    task_received.connect(_note_received, weak=False, dispatch_uid=f"{__name__}.received")


def _convert_the_producers(app: Celery, dispatcher: type) -> None:
    """Change the dispatcher that an application keeps once it has published its first task."""
    kept = getattr(vars(app).get("amqp"), "__dict__", {}).get("_event_dispatcher")
    if isinstance(kept, EventDispatcher):
        kept.__class__ = dispatcher


class LinkingDispatcher(EventDispatcher):  # type: ignore[misc] # Celery is untyped
    """Celery's dispatcher, with more fields in ``task-sent`` and ``task-received``.

    Up to Celery 5.6 ``send`` calls ``publish``, from 5.7 on it does not, and ``task-sent`` always
    goes to ``publish``: hence both.
    """

    def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002, ANN401 - as in Celery
        """Send an event, as Celery does."""
        if type in _EXTENDED:
            return super().send(type, *args, **_extended(type, fields))
        return super().send(type, *args, **fields)

    def publish(self, type: str, fields: Any, *args: Any, **options: Any) -> Any:  # noqa: A002, ANN401 - as in Celery
        """Publish an event with a producer of the caller's, as Celery does."""
        if type in _EXTENDED:
            fields = _extended(type, fields)
        return super().publish(type, fields, *args, **options)


class _Noted(threading.local):
    """What the signals told this thread, or greenlet, and no event has taken yet."""

    def __init__(self) -> None:
        # The headers themselves: handlers that run after ours add to them.
        self.publishing: deque[tuple[str, Mapping[str, object]]] = deque(maxlen=_NESTED)
        # Not the request: Celery counts requests by weak references to them.
        self.received: tuple[str, dict[str, Any]] | None = None


_noted = _Noted()
_failure: str | None = None
"""What went wrong first in this process, if anything did; the log has it once."""


def _note_publishing(*, headers: Mapping[str, Any], body: Any, **_: object) -> None:  # noqa: ANN401 - by protocol
    """Remember the headers of a message that is about to be published (`before_task_publish`)."""
    try:
        uuid = headers["id"] if "id" in headers else body["id"]  # the second: task protocol 1
        _noted.publishing.append((uuid, headers))
    except Exception as error:  # noqa: BLE001 - nothing of ours may disturb a producer
        _give_up(error)


def _note_received(*, request: Any, **_: object) -> None:  # noqa: ANN401 - Celery is untyped
    """Remember what the event of a received message is to tell (`task_received`)."""
    try:
        _noted.received = None
        fields = _links_of(request.request_dict)
        delivery = request.delivery_info
        if _is_fit(exchange := delivery.get("exchange")):
            fields["exchange"] = exchange
        if _is_fit(routing_key := delivery.get("routing_key")):
            fields["routing_key"] = routing_key
        fields["redelivered"] = bool(delivery.get("redelivered"))
        _noted.received = (request.id, fields)
    except Exception as error:  # noqa: BLE001 - nothing of ours may disturb a worker
        _give_up(error)


def _extended(event: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an event with what is known of its message, which is forgotten.

    Where both know a field, Celery's holds.
    """
    try:
        known = _known_of(event, fields.get("uuid"))
    except Exception as error:  # noqa: BLE001 - the event goes out as it would without us
        _give_up(error)
        return fields
    if known is None:
        return fields
    known.update(fields)
    return known


def _known_of(event: str, uuid: object) -> dict[str, Any] | None:
    if event == "task-received":
        received, _noted.received = _noted.received, None
        return received[1] if received is not None and received[0] == uuid else None
    publishing = _noted.publishing
    while publishing:  # what was noted after ours failed to be published
        noted, headers = publishing.pop()
        if noted == uuid:
            return _links_of(headers)
    return None


def _links_of(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's fields for the headers that link a message to a trace."""
    fields: dict[str, Any] = {}
    nested = headers.get("headers")  # where protocol 1 and some instrumentations have them
    for header, name in _FIELDS:
        value = headers.get(header)
        if value is None and nested and isinstance(nested, dict):
            value = nested.get(header)
        if value is not None and _is_fit(value):
            fields[name] = value
    return fields


def _is_fit(value: object) -> bool:
    """Whether it is a text that every serialiser of events takes, and not too long."""
    return type(value) is str and len(value) <= MAX_LENGTH and value.isprintable()


def _give_up(error: Exception) -> None:
    """Say the first failure in the log; a time limit is meant for the task that is publishing."""
    global _failure  # noqa: PLW0603 - once per process, whatever the application
    if isinstance(error, SoftTimeLimitExceeded):
        raise error
    if _failure is None:
        _failure = repr(error)
        _logger.warning("Events go out without links to traces", exc_info=error)
