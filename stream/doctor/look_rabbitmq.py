"""Look at a RabbitMQ broker: whether it can be used, and what its user may do.

A queue of our own is declared, bound and consumed as the service does it, exclusively, so that it
is gone with the connection; nothing else is touched, and nothing is published.
"""

from collections.abc import Sequence
from uuid import uuid4

import msgspec
from msgspec import Struct

from ..errors import LostError, RefusedError, StreamError
from ..sources.amqp_address import AmqpAddress
from ..sources.amqp_connection import ACCESS_REFUSED, ChannelClosedError, Connection
from ..sources.amqp_frames import Argument, Name, Reader
from ..sources.amqp_login import connect
from ..sources.amqp_queue import CHANNEL, OwnQueue, Retain, needed_rights
from ..sources.rabbitmq_management import Management
from ..sources.stages import Stage
from .access import RABBITMQ_STAGES, Access
from .judge_rabbitmq import Managed, Retained, Rights
from .look_redis import problem_of

_TIMEOUT = 5.0


class RabbitMqSeen(Struct, frozen=True):
    """What a look found."""

    access: Access
    rights: Rights | None = None
    """None: it did not come to that."""


async def look_at_rabbitmq(
    addresses: Sequence[AmqpAddress], *, exchange: str, prefix: str
) -> RabbitMqSeen:
    """Connect as the service does and try what it does.

    Args:
        addresses: of the broker; the first that answers is taken.
        exchange: Celery's ``event_exchange``.
        prefix: Celery's ``event_queue_prefix``.
    """
    passed: dict[Stage, str] = {}
    problem, rights = None, None
    reader = Reader("doctor")
    try:
        async with connect(
            addresses, reader, timeout=_TIMEOUT, note=passed.__setitem__
        ) as connection:
            rights = await _Trial(connection, exchange, prefix).rights()
    except StreamError as error:
        problem = problem_of(error)
    access = Access(RABBITMQ_STAGES, passed, addresses[0].username, problem)
    return RabbitMqSeen(access, rights)


class _Trial:
    """Tries each thing on a channel of its own, because a refusal closes the channel."""

    def __init__(self, connection: Connection, exchange: str, prefix: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._prefix = prefix
        self._queue = f"{prefix}.doctor.{uuid4().hex}"
        self._channel = 0

    async def rights(self) -> Rights:
        """Try all of it. RabbitMQ looks at rights before it looks whether a queue is there.

        Raises:
            LostError: the connection broke.
            RefusedError: the server closed it for good.
        """
        passive: tuple[Argument, ...] = (
            0,
            self._exchange,
            "",
            True,
            False,
            False,
            False,
            False,
            {},
        )
        exists = await self._ask(Name.EXCHANGE_DECLARE, *passive, answer=Name.EXCHANGE_DECLARE_OK)
        declared: tuple[Argument, ...] = (0, self._queue, False, False, True, True, False, {})
        configure = await self._ask(Name.QUEUE_DECLARE, *declared, answer=Name.QUEUE_DECLARE_OK)
        binding: tuple[Argument, ...] = (0, self._queue, self._exchange, "#", False, {})
        bound = await self._ask(Name.QUEUE_BIND, *binding, answer=Name.QUEUE_BIND_OK)
        consumed: tuple[Argument, ...] = (0, self._queue, "", False, False, False, False, {})
        read = await self._ask(Name.BASIC_CONSUME, *consumed, answer=Name.BASIC_CONSUME_OK)
        address = self._connection.address
        at_exchange = bound is not None and f"exchange '{self._exchange}'" in bound.text
        return Rights(
            user=address.username,
            vhost=address.vhost,
            exchange=self._exchange,
            exchange_exists=exists is None,
            configure=not _forbidden(configure),
            write=not _forbidden(bound) or at_exchange,
            read_exchange=None if _forbidden(bound) and not at_exchange else not _forbidden(bound),
            read_queue=not _forbidden(read),
            needed=needed_rights(self._prefix, self._exchange),
        )

    async def _ask(
        self, name: Name, *arguments: Argument, answer: Name
    ) -> ChannelClosedError | None:
        self._channel += 1
        await self._connection.open_channel(self._channel)
        try:
            await self._connection.call(self._channel, name, *arguments, answer=answer)
        except ChannelClosedError as error:
            return error
        return None


def _forbidden(error: ChannelClosedError | None) -> bool:
    return error is not None and error.code == ACCESS_REFUSED


async def look_at_retained(addresses: Sequence[AmqpAddress], queue: OwnQueue) -> Retained:
    """Look at the queue that the service would use, without making it or taking from it."""
    retained = Retained(queue.name, addresses[0].vhost, queue.bounds.messages)
    try:
        async with connect(addresses, Reader("doctor"), timeout=_TIMEOUT) as connection:
            await connection.open_channel(CHANNEL)
            found = await queue.inspect(connection)
    except StreamError as error:
        problem = problem_of(error)
        # A connection that broke meanwhile says nothing of the queue, and is told elsewhere.
        says = None if problem.lost else problem.says
        return msgspec.structs.replace(retained, problem=says, forbidden=problem.forbidden)
    if found is None:
        return retained
    if queue.retain is Retain.STREAM:  # which tells 0 of both
        return msgspec.structs.replace(retained, exists=True)
    return msgspec.structs.replace(retained, exists=True, waiting=found[0], readers=found[1])


async def look_at_management(management: Management) -> Managed:
    """Ask the management API for the queues, as the service does."""
    try:
        return Managed(len(await management.queues()))
    except RefusedError as error:
        return Managed(problem=str(error), user=management.user)
    except LostError as error:
        return Managed(problem=str(error))
