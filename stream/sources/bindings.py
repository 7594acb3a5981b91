"""Which queues a Redis broker has, from the sets in which kombu keeps bindings.

Exchanges are found by scanning for ``_kombu.binding.*`` a little at each poll, or, where SCAN is
not granted, by Celery's habit of giving a queue an exchange of its own name. Commands sent: SCAN,
SMEMBERS; none writes.
"""

from collections.abc import Iterable
from itertools import islice

from ..wire.keys import Layout, carries_tasks
from .poll import Poll
from .resp import Reply

# Ten steps of 1000 keys cost the server about a millisecond; a database with a million results
# is gone through in some minutes at the default interval.
_SCAN_STEPS = 10
_SCAN_COUNT = 1000
# Far more than applications have; stray keys of that name must not make a poll endless.
_MAX_EXCHANGES = 500
_MAX_NAMES = 2000
_START = b"0"


class Bindings:
    """Remembers between polls how far the scan came and which exchanges it found.

    Args:
        layout: the keys of the application.
        event_exchange: Celery's ``event_exchange``: what is bound to it is no task queue.
    """

    def __init__(self, layout: Layout, event_exchange: str = "celeryev") -> None:
        self.routes: dict[tuple[str, str], str | None] = {}
        """The queue by exchange and routing key, as `look` found it; None where there are several.
        Only what is bound by a literal key, as Celery's own queues are."""
        self._layout = layout
        self._event_exchange = event_exchange
        self._complete: frozenset[str] = frozenset()
        self._pass: set[str] = set()
        self._cursor = _START
        self._may_scan = True

    def restart(self) -> None:
        """Forget how far the scan came, and a refusal: the server may be another one."""
        self._pass = set()
        self._cursor = _START
        self._may_scan = True

    async def look(self, poll: Poll, names: Iterable[str]) -> set[str]:
        """Return the bound queues.

        Args:
            poll: which this look is part of; counts the binding sets that could not be read, and
                those that are too many.
            names: queues known otherwise, for the exchanges that may have their names.

        Raises:
            LostError: the connection broke.
        """
        await self._scan(poll)
        guessed = {self._layout.binding_key(name) for name in islice(names, _MAX_NAMES)}
        exchanges = {
            key: exchange
            for key in sorted(self._complete | self._pass | guessed)
            if (exchange := self._layout.exchange_of(key)) is not None
            and carries_tasks(exchange, self._event_exchange)
        }
        replies = await poll.ask([("SMEMBERS", key) for key in exchanges])
        self.routes = {}
        queues: set[str] = set()
        for exchange, reply in zip(exchanges.values(), replies, strict=True):
            if isinstance(reply, list):
                queues |= self._take_members(exchange, reply)
        return queues

    def _take_members(self, exchange: str, members: list[Reply]) -> set[str]:
        queues: set[str] = set()
        found = self._layout.bindings_in(each for each in members if isinstance(each, bytes))
        for routing_key, queue in found:
            queues.add(queue)
            route = exchange, routing_key
            self.routes[route] = queue if self.routes.get(route, queue) == queue else None
        return queues

    async def _scan(self, poll: Poll) -> None:
        """Go on with the pass; at its end, replace what the pass before found."""
        for _ in range(_SCAN_STEPS if self._may_scan else 0):
            match = (self._layout.bindings, "COUNT", _SCAN_COUNT)
            reply = (await poll.connection.pipeline([("SCAN", self._cursor, "MATCH", *match)]))[0]
            if not self._take(reply, poll):
                self._may_scan = False  # not granted: no reason to ask again on this connection
                return
            if self._cursor == _START:
                self._complete, self._pass = frozenset(self._pass), set()
                return

    def _take(self, reply: Reply, poll: Poll) -> bool:
        match reply:
            case [bytes(cursor), list(found)]:
                keys = {key.decode(errors="replace") for key in found if isinstance(key, bytes)}
                fresh, room = sorted(keys - self._pass), _MAX_EXCHANGES - len(self._pass)
                self._pass.update(fresh[:room])
                poll.problems += max(0, len(fresh) - room)
                self._cursor = cursor
                return True
            case _:
                return False
