"""Check one RabbitMQ broker."""

import msgspec

from ..brokers import Named, broker_of
from ..sources import amqp_address
from ..sources.amqp_queue import Bounds, OwnQueue, Retain, needed_rights
from ..sources.rabbitmq_management import Management
from .access import judge_access
from .diagnosis import Checkup, Finding, Step
from .judge_events import judge_events, judge_queues
from .judge_rabbitmq import (
    Managed,
    judge_management,
    judge_retained,
    judge_rights,
    permissions_line,
)
from .listen import POLL_INTERVAL, Listening
from .look_rabbitmq import RabbitMqSeen, look_at_management, look_at_rabbitmq, look_at_retained


class RabbitMqCheck:
    """One broker's check-up.

    Args:
        watched: the broker.
        seconds: of listening.

    Raises:
        ConfigError: its URL or its options cannot be used.
    """

    def __init__(self, watched: Named, *, seconds: float) -> None:
        self._watched = watched
        self._settings = settings = watched.settings
        self._listening = Listening(seconds)
        self._check_settings()
        self._addresses = amqp_address.parse(settings.url)
        own = settings.rabbitmq
        self._management = (
            None
            if own.management is None
            else Management(own.management, self._addresses[0].vhost, ca_certs=own.management_ca)
        )

    async def run(self) -> Checkup:
        """Look, listen and judge."""
        exchange, prefix = self._settings.event_exchange, self._settings.rabbitmq.event_queue_prefix
        seen = await look_at_rabbitmq(self._addresses, exchange=exchange, prefix=prefix)
        findings = self._judge_access(seen)
        if seen.rights is None:
            return self._checkup(findings)
        rights = list(judge_rights(seen.rights))
        findings += rights
        if (queue := self._retained()) is not None:
            findings.append(judge_retained(await look_at_retained(self._addresses, queue)))
        managed = None
        if self._management is not None:
            managed = await look_at_management(self._management)
            findings.append(judge_management(managed))
        await self._listen(managed)
        listened = self._listening.result(configured=self._settings.queues)
        findings += judge_events(listened, subscription=exchange)
        findings += judge_queues(listened)
        missing = [finding.fix for finding in rights if finding.fix]
        return self._checkup(findings, missing[0] if len(missing) > 1 else None)

    def _check_settings(self) -> None:
        """Refuse what `run` refuses."""
        broker_of(self._watched, known=tuple, tell=self._listening.tell)

    def _retained(self) -> OwnQueue | None:
        """The queue that `run` keeps; None where it keeps none."""
        own = self._settings.rabbitmq
        if own.retain == "none":
            return None
        return OwnQueue(
            self._watched.name,
            exchange=self._settings.event_exchange,
            prefix=own.event_queue_prefix,
            retain=Retain(own.retain),
            bounds=Bounds(own.retain_messages, own.retain_bytes, own.retain_age),
            prefetch=1,
        )

    async def _listen(self, managed: Managed | None) -> None:
        """Listen with a queue that is gone afterwards, also where another one is retained."""
        own = msgspec.structs.replace(self._settings.rabbitmq, retain="none")
        if managed is None or managed.problem is not None:
            own = msgspec.structs.replace(own, management=None)
        settings = msgspec.structs.replace(
            self._settings, rabbitmq=own, poll_interval=POLL_INTERVAL
        )
        broker = broker_of(
            msgspec.structs.replace(self._watched, settings=settings),
            known=lambda: self._listening.hearing.queues,
            tell=self._listening.tell,
        )
        name, sources = self._watched.name, broker.sources
        await self._listening.run(
            events=sources[f"{name} events"], queues=sources[f"{name} queues"]
        )

    def _judge_access(self, seen: RabbitMqSeen) -> list[Finding]:
        vhost = self._addresses[0].vhost
        own = self._settings.rabbitmq
        needed = needed_rights(own.event_queue_prefix, self._settings.event_exchange)
        grant = permissions_line(seen.access.user, vhost, needed)
        return judge_access(seen.access, opened=Step.VIRTUAL_HOST, grant=grant)

    def _checkup(self, findings: list[Finding], fix: str | None = None) -> Checkup:
        url = ";".join(address.redacted for address in self._addresses)
        return Checkup(f"broker {self._watched.name}", url, tuple(findings), fix)
