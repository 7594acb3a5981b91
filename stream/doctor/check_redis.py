"""Check one Redis broker, in any of its forms."""

import shlex

import msgspec

from ..brokers import Named, broker_of
from ..sources.broker import SentinelBroker, on_replica, parse_broker
from ..sources.redis import RedisEvents
from .access import judge_access
from .diagnosis import Checkup, Finding, Step
from .judge_events import judge_events, judge_queues
from .judge_redis import judge_grants
from .listen import POLL_INTERVAL, Listening
from .look_redis import RedisSeen, Wanted, any_server, look_at_redis, overhear

_MOST_OVERHEARD = 5.0
"""Seconds of listening elsewhere, where nothing was heard: two heartbeats."""


class RedisCheck:
    """One broker's check-up.

    Args:
        watched: the broker.
        seconds: of listening.

    Raises:
        ConfigError: its URL or its options cannot be used.
    """

    def __init__(self, watched: Named, *, seconds: float) -> None:
        self._name = watched.name
        self._settings = settings = watched.settings
        self._seconds = seconds
        self._listening = Listening(seconds)
        quicker = msgspec.structs.replace(settings, poll_interval=POLL_INTERVAL, held_interval=0.0)
        self._sources = broker_of(
            msgspec.structs.replace(watched, settings=quicker),
            known=lambda: self._listening.hearing.queues,
            tell=self._listening.tell,
        )
        self._broker, self._options = parse_broker(settings.url, settings.broker_transport_options)
        # On a replica events are read only where there is a Sentinel to name one.
        replica = settings.events_from == "replica" and isinstance(self._broker, SentinelBroker)
        self._replica = on_replica(self._broker) if replica else None

    async def run(self) -> Checkup:
        """Look, listen and judge."""
        seen = await look_at_redis(self._broker, self._wanted())
        findings = self._judge_access(seen)
        if not seen.access.is_open:
            return self._checkup(findings)
        apart = await self._look_at_replica()
        if apart is not None:
            findings += self._judge_access(apart, about="replica")
        if apart is None or apart.access.is_open:
            sources = self._sources.sources
            await self._listening.run(
                events=sources[f"{self._name} events"], queues=sources[f"{self._name} queues"]
            )
        seen = await self._look_again(seen)
        fix = None
        if seen.grants is not None:
            found, fix = judge_grants(seen.grants)
            findings += found
        if apart is not None and apart.grants is not None:
            found, _ = judge_grants(apart.grants, about="replica")
            findings, fix = findings + found, None  # one line cannot repair two servers
        findings += await self._judge_listening()
        return self._checkup(findings, fix)

    def _wanted(self) -> Wanted:
        settings = self._settings
        return Wanted(
            self._options,
            settings.event_exchange,
            (*settings.queues, *self._listening.hearing.queues),
            peek=settings.peek_messages > 1,
            held=settings.held_interval > 0,
            subscribed=self._replica is None,
        )

    async def _look_at_replica(self) -> RedisSeen | None:
        if self._replica is None:
            return None
        wanted = Wanted(self._options, self._settings.event_exchange, (), measured=False)
        return await look_at_redis(self._replica, wanted)

    async def _look_again(self, seen: RedisSeen) -> RedisSeen:
        """Try the keys of the queues as well that only events named."""
        if not set(self._listening.hearing.queues).difference(self._settings.queues):
            return seen
        again = await look_at_redis(self._broker, self._wanted())
        return seen if again.grants is None else again

    def _judge_access(self, seen: RedisSeen, *, about: str | None = None) -> list[Finding]:
        grant = f"ACL SETUSER {shlex.quote(seen.access.user)} +select"
        return judge_access(seen.access, opened=Step.DATABASE, grant=grant, about=about)

    async def _judge_listening(self) -> list[Finding]:
        subscription = self._topics()[0]
        listened = self._listening.result()
        elsewhere: tuple[str, ...] = ()
        if not (listened.heard.events or listened.heard.rejected or listened.events_problem):
            elsewhere = await overhear(
                self._broker,
                exchange=self._settings.event_exchange,
                ours=self._topics(),
                seconds=min(self._seconds, _MOST_OVERHEARD),
            )
        listened = self._listening.result(configured=self._settings.queues, elsewhere=elsewhere)
        return [*judge_events(listened, subscription=subscription), *judge_queues(listened)]

    def _topics(self) -> list[str]:
        """The channels that are listened to, without what comes after the exchange."""
        broker, options = self._broker, self._options
        events = RedisEvents(
            broker, self._name, options=options, exchange=self._settings.event_exchange
        )
        patterns = events.patterns(any_server(broker).db)
        return [*dict.fromkeys(each.removesuffix("/*") for each in patterns)]

    def _checkup(self, findings: list[Finding], fix: str | None = None) -> Checkup:
        return Checkup(f"broker {self._name}", self._broker.redacted, tuple(findings), fix)
