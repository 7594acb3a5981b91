"""Which server is the master of a Sentinel broker now, asked from its sentinels.

All are asked at once and the answer that most of them give counts: one that was cut off from the
others still names the old master. Commands sent: AUTH, CLIENT SETNAME, SENTINEL
GET-MASTER-ADDR-BY-NAME, and SENTINEL REPLICAS where a replica is wanted; none changes anything.
"""

from collections import Counter
from dataclasses import dataclass

import anyio
from hiredis import ReplyError

from ..errors import LostError, RefusedError, StreamError
from .address import RedisAddress
from .broker import SentinelBroker, Serve
from .resp import Command, Connection, Reply, connect

_GRANT = "+sentinel|get-master-addr-by-name +sentinel|replicas"
# A replica that a sentinel thinks of in one of these ways is no place to read.
_BAD_FLAGS = frozenset(("s_down", "o_down", "disconnected"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, in a sentinel's words."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Topology:
    """What a sentinel says of the servers of one broker."""

    master: Place
    replicas: tuple[Place, ...] = ()
    """Those that work; empty also where none was asked for."""

    def candidates(self, serve: Serve) -> tuple[Place, ...]:
        """Where to connect, best first."""
        return (*self.replicas, self.master) if serve is Serve.REPLICA else (self.master,)


async def locate(broker: SentinelBroker, *, timeout: float) -> tuple[Topology, ...]:  # noqa: ASYNC109 - of each sentinel
    """Ask all sentinels; return what they say, what most say first.

    Ends as soon as more than half of them agree on the master.

    Raises:
        LostError: none of them names a master, but some may do so later.
        RefusedError: most of them do not know the master, or all of them refuse us.
    """
    poll = _Poll(broker, timeout)
    async with anyio.create_task_group() as tasks:
        for number, sentinel in enumerate(broker.sentinels):
            tasks.start_soon(poll.ask, number, tasks.cancel_scope, name=f"ask {sentinel.place}")
    return poll.verdict()


class _Poll:
    """The answers of the sentinels as they come in."""

    def __init__(self, broker: SentinelBroker, timeout: float) -> None:
        self._broker = broker
        self._timeout = timeout
        self._known: dict[int, Topology] = {}
        self._strangers = 0
        self._problems: list[StreamError] = []

    async def ask(self, number: int, enough: anyio.CancelScope) -> None:
        """Ask one sentinel; cancel *enough* where its answer settles the matter."""
        try:
            topology = await _ask(self._broker.sentinels[number], self._broker, self._timeout)
        except (LostError, RefusedError) as exc:
            self._problems.append(exc)
            return
        if topology is None:
            self._strangers += 1
            return
        self._known[number] = topology
        votes = sum(topology.master == each.master for each in self._known.values())
        if votes * 2 > len(self._broker.sentinels):
            enough.cancel()

    def verdict(self) -> tuple[Topology, ...]:
        if self._known:
            return self._by_votes()
        refusals = [each for each in self._problems if isinstance(each, RefusedError)]
        if self._strangers * 2 > len(self._broker.sentinels):
            raise RefusedError(
                f"The sentinels of {self._broker.redacted} know no master "
                f"{self._broker.master_name!r}: correct the transport option master_name."
            )
        if len(refusals) == len(self._broker.sentinels):
            raise refusals[0]
        problem = (refusals or self._problems)[0]
        raise LostError(f"No sentinel names the master; one of them: {problem}") from problem

    def _by_votes(self) -> tuple[Topology, ...]:
        # In the order of the sentinels, not of their answers: a tie must not go to and fro.
        known = [self._known[number] for number in sorted(self._known)]
        votes = Counter(each.master for each in known)
        first = {each.master: each for each in reversed(known)}
        return tuple(first[master] for master, _ in votes.most_common())


async def _ask(sentinel: RedisAddress, broker: SentinelBroker, seconds: float) -> Topology | None:
    """What one sentinel says; None where it does not know the master."""
    name = broker.master_name
    commands: list[Command] = [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)]
    if broker.serve is Serve.REPLICA:
        commands.append(("SENTINEL", "REPLICAS", name))
    with anyio.move_on_after(seconds):  # over all, so that one that drips does not hold up the rest
        async with connect(sentinel, timeout=seconds) as connection:
            master, *replicas = await connection.pipeline(commands)
            _require(connection, sentinel, master)
            place = _place(master)
            return None if place is None else Topology(place, _working(replicas))
    raise LostError(f"The sentinel at {sentinel.place} did not answer in time.")


def _require(connection: Connection, sentinel: RedisAddress, reply: Reply) -> None:
    if not isinstance(reply, ReplyError):
        return
    if str(reply).startswith("ERR unknown command"):
        raise RefusedError(
            f"The server at {sentinel.place} is no sentinel: give redis:// for a Redis server."
        )
    raise connection.explain(reply, "ask for the master", _GRANT)


def _place(reply: Reply) -> Place | None:
    match reply:
        case [bytes(host), bytes(port)] if port.isdigit():
            return Place(host.decode(errors="replace"), int(port))
        case _:
            return None


def _working(replies: list[Reply]) -> tuple[Place, ...]:
    """The replicas that a sentinel can use; each is told as a flat list of names and values."""
    rows = replies[0] if replies and isinstance(replies[0], list) else []
    places = [_place_of_replica(row) for row in rows if isinstance(row, list)]
    return tuple(place for place in places if place is not None)


def _place_of_replica(row: list[Reply]) -> Place | None:
    words = [word if isinstance(word, bytes) else b"" for word in row]
    said = dict(zip(words[::2], words[1::2], strict=False))
    flags = set(said.get(b"flags", b"").decode(errors="replace").split(","))
    if flags & _BAD_FLAGS or said.get(b"master-link-status") != b"ok":
        return None
    return _place([said.get(b"ip", b""), said.get(b"port", b"")])
