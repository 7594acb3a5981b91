"""From what RabbitMQ answered to findings: the exchange, the rights, the management API. Pure."""

import shlex
from collections.abc import Iterator

from msgspec import Struct

from .diagnosis import Finding, Step, broken, ok, unknown


class Rights(Struct, frozen=True):
    """What the user may do, as it was tried. None: not known."""

    user: str
    vhost: str
    exchange: str
    exchange_exists: bool
    configure: bool
    """Declare a queue of ours."""
    write: bool
    """Bind it, which counts as writing to it."""
    read_exchange: bool | None
    """Bind it to the exchange; not known where the queue itself cannot be bound."""
    read_queue: bool
    """Consume it."""
    needed: tuple[str, str, str]
    """The least to configure, write and read, as ``rabbitmqctl set_permissions`` takes them."""


class Managed(Struct, frozen=True):
    """How the management API answered."""

    queues: int = 0
    problem: str | None = None
    user: str | None = None
    """Whom it refused."""


class Retained(Struct, frozen=True):
    """The queue that keeps events while the service is away."""

    name: str
    vhost: str
    limit: int
    """Messages, beyond which the oldest are dropped."""
    exists: bool = False
    waiting: int | None = None
    """None: not told, as of a stream."""
    readers: int = 0
    problem: str | None = None
    """Why `run` could not use it."""
    forbidden: bool = False
    """Because a permission is missing."""


def permissions_line(user: str, vhost: str, needed: tuple[str, str, str]) -> str:
    """The line that grants the least that is needed."""
    return shlex.join(("rabbitmqctl", "set_permissions", "-p", vhost, user, *needed))


def judge_rights(rights: Rights) -> Iterator[Finding]:
    """Tell the exchange, and each right that is missing."""
    yield _exchange(rights)
    fix = permissions_line(rights.user, rights.vhost, rights.needed)
    lacking = list(_lacking(rights))
    for right, needed, what in lacking:
        says = f"user {rights.user!r} may not {right} {needed}, so {what}"
        advice = (
            "Run this on RabbitMQ's host; it replaces what the user has on this virtual host, so "
            "give us a user of our own."
        )
        yield broken(Step.PERMISSION, says, advice, about=right, fix=fix)
    if not lacking:
        says = "all that are needed: configure and write our queue, read it and the exchange"
        yield ok(Step.PERMISSION, says)


def _lacking(rights: Rights) -> Iterator[tuple[str, str, str]]:
    """Each right that is missing, its pattern, and what cannot be done without it."""
    configure, write, read = rights.needed
    if not rights.configure:
        yield "configure", configure, "our queue cannot be declared"
    if not rights.write:
        yield "write", write, "our queue cannot be bound"
    if not rights.read_queue:
        yield "read", read, "our queue cannot be read"
    elif rights.read_exchange is False:
        yield "read", read, "our queue cannot be bound to the event exchange"


def _exchange(rights: Rights) -> Finding:
    if rights.exchange_exists:
        return ok(Step.EXCHANGE, f"{rights.exchange} is there")
    return unknown(
        Step.EXCHANGE,
        f"{rights.exchange} is not there on virtual host {rights.vhost!r}",
        "Start a worker with -E, which makes it; if one runs, see that virtual host and "
        "event_exchange are the application's.",
    )


def judge_retained(retained: Retained) -> Finding:
    """Tell whether events are kept while the service is away."""
    step, name = Step.RETAINED, retained.name
    if retained.problem is not None:
        advice = "Delete it with what waits in it, or give the settings that it was made with."
        delete = shlex.join(("rabbitmqctl", "delete_queue", "-p", retained.vhost, name))
        fix = None if retained.forbidden else delete
        return broken(step, retained.problem, advice, about=name, fix=fix)
    if not retained.exists:
        advice = "Start celery-stream run with these settings: it makes it, and events are kept."
        return unknown(step, "it is not there yet", advice, about=name)
    waiting = retained.waiting
    if waiting is None:
        return ok(step, "it is there", about=name)
    says = f"{waiting:,} waiting, {retained.readers} reading"
    if waiting >= retained.limit:
        advice = "Start celery-stream run, or raise rabbitmq.retain_messages: the oldest are lost."
        return unknown(step, f"{says}: it is full", advice, about=name, value=waiting)
    return ok(step, says, about=name, value=waiting)


def judge_management(managed: Managed) -> Finding:
    """Tell whether what workers hold of each queue can be known."""
    if managed.problem is None:
        return ok(Step.MANAGEMENT, f"it lists {managed.queues} queues", value=managed.queues)
    if managed.user is None:
        advice = "Enable the plugin rabbitmq_management there, or correct --rabbitmq-management."
        return broken(Step.MANAGEMENT, managed.problem, advice)
    advice = "Correct user and password in --rabbitmq-management, or run this on RabbitMQ's host."
    fix = shlex.join(("rabbitmqctl", "set_user_tags", managed.user, "management"))
    return broken(Step.MANAGEMENT, managed.problem, advice, fix=fix)
