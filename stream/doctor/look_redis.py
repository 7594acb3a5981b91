"""Look at a Redis broker: whether it can be used, and what its user may do.

Commands sent: those of the service (see `judge_redis`), each once, and none that writes.
"""

from collections.abc import Iterable
from contextlib import suppress

import anyio
from hiredis import ReplyError
from msgspec import Struct

from ..errors import ForbiddenError, LostError, StreamError
from ..sources.address import RedisAddress
from ..sources.bindings import Bindings
from ..sources.broker import Alternates, Broker, SentinelBroker
from ..sources.poll import Poll
from ..sources.reach import reach
from ..sources.redis import RedisEvents
from ..sources.resp import Command, Connection, Reply, is_message
from ..sources.stages import Stage
from ..sources.transport import TransportOptions
from ..wire.keys import glob_of
from .access import REDIS_STAGES, SENTINEL_STAGES, Access, Problem
from .judge_redis import (
    Denial,
    Grants,
    Need,
    Tried,
    denial_of,
    needs_of_events,
    needs_of_queues,
    unsettled,
)

_TIMEOUT = 5.0
_DEFAULT_QUEUE = "celery"
_MOST_QUEUES = 200
"""Whose keys are tried one by one."""
_MOST_CHANNELS = 5
# Each takes any key: for one of another type Redis says so, which is an answer as well.
_KEYED = ("LLEN", "ZCARD", "SMEMBERS")


class Wanted(Struct, frozen=True):
    """What the service would ask of a server."""

    options: TransportOptions
    exchange: str
    queues: tuple[str, ...]
    """Those that are configured, or were named by events."""
    peek: bool = False
    held: bool = False
    measured: bool = True
    """Whether queues are measured there."""
    subscribed: bool = True
    """Whether events are listened to there."""


class RedisSeen(Struct, frozen=True):
    """What a look found."""

    access: Access
    grants: Grants | None = None
    """None: it did not come to that."""


def problem_of(error: StreamError) -> Problem:
    """Turn an exception into a value."""
    return Problem(str(error), isinstance(error, LostError), isinstance(error, ForbiddenError))


async def look_at_redis(broker: Broker, wanted: Wanted) -> RedisSeen:
    """Connect as the service does and try each command that it sends."""
    passed: dict[Stage, str] = {}
    user, problem, grants = any_server(broker).username or "default", None, None
    try:
        async with reach(broker, timeout=_TIMEOUT, note=passed.__setitem__) as connection:
            grants = await _grants(connection, wanted, user)
    except StreamError as error:
        problem = problem_of(error)
    stages = SENTINEL_STAGES if isinstance(broker, SentinelBroker) else REDIS_STAGES
    return RedisSeen(Access(stages, passed, user, problem), grants)


def any_server(broker: Broker) -> RedisAddress:
    """One of its servers; of Sentinel, what is the same for all: database, user, TLS."""
    match broker:
        case SentinelBroker():
            return broker.server
        case Alternates():
            return broker.addresses[0]
        case RedisAddress():
            return broker


async def _grants(connection: Connection, wanted: Wanted, user: str) -> Grants:
    tried: tuple[Tried, ...] = ()
    if wanted.measured:
        queues = await _queues(connection, wanted)
        layout, peek, held = wanted.options.layout, wanted.peek, wanted.held
        needs = needs_of_queues(layout, queues, peek=peek, held=held)
        tried = await _try(connection, needs)
    places = await _try_places(connection, tried)
    if wanted.subscribed:
        # The master or any other server: only the database matters for the channel.
        events = RedisEvents(
            connection.address, "", exchange=wanted.exchange, options=wanted.options
        )
        needs = needs_of_events(events.patterns(connection.address.db)[0])
        # Last: from then on the server takes nothing else, and sends what is published.
        tried += await _try(connection, needs, subscribing=True)
    return Grants(user, tried, places)


async def _try(
    connection: Connection, found: Iterable[Need], *, subscribing: bool = False
) -> tuple[Tried, ...]:
    needs = list(found)
    commands: list[Command] = [need.words for need in needs]
    replies = await connection.pipeline(commands, subscribing=subscribing)
    return tuple(_tried(need, reply) for need, reply in zip(needs, replies, strict=True))


async def _queues(connection: Connection, wanted: Wanted) -> list[str]:
    """The queues whose keys are to be read; Celery's default one where none is known."""
    layout = wanted.options.layout
    bindings = Bindings(layout, wanted.exchange)
    bound = await bindings.look(Poll(connection, layout), {_DEFAULT_QUEUE, *wanted.queues})
    names = dict.fromkeys((*wanted.queues, *sorted(bound)))
    return [*names][:_MOST_QUEUES] or [_DEFAULT_QUEUE]


def _tried(need: Need, reply: Reply) -> Tried:
    if not isinstance(reply, ReplyError):
        return Tried(need, None)
    denial, old = denial_of(str(reply))
    return Tried(need, denial, old)


async def _try_places(connection: Connection, tried: tuple[Tried, ...]) -> dict[str, bool]:
    """Whether keys may be read on which no command was let through, as far as others tell."""
    refused = {each.need.words[0] for each in tried if each.denial is Denial.COMMAND}
    used = {each.need.words[0] for each in tried}
    command = next((each for each in _KEYED if each in used - refused), None)
    if command is None:
        return {}
    found: dict[str, bool] = {}
    for place in (each for each in unsettled(tried) if not each.startswith("&")):
        key = next(each.need.words[1] for each in tried if each.need.place == place)
        (reply,) = await connection.pipeline([(command, key)])
        denied = isinstance(reply, ReplyError) and denial_of(str(reply))[0] is not None
        found[place] = not denied
    return found


async def overhear(
    broker: Broker, *, exchange: str, ours: Iterable[str], seconds: float
) -> tuple[str, ...]:
    """Listen on the channels of all databases and prefixes, where the user may.

    Args:
        broker: where.
        exchange: Celery's ``event_exchange``.
        ours: topics that were listened to in vain.
        seconds: for how long.

    Returns:
        The topics on which something was said; empty also where it is not permitted.
    """
    heard: set[str] = set()
    mark = exchange.encode()
    with anyio.move_on_after(seconds), suppress(StreamError):
        async with reach(broker, timeout=_TIMEOUT) as connection:
            await connection.send(("PSUBSCRIBE", f"*{glob_of(exchange)}*"))
            while len(heard) < _MOST_CHANNELS:
                for reply in await connection.receive():
                    if is_message(reply):
                        head, found, _ = bytes(reply[2]).partition(mark)  # type: ignore[arg-type] # a channel
                        heard.add((head + found).decode(errors="replace"))
    return tuple(sorted(heard.difference(ours)))
