"""Which permissions the service needs on Redis, and from answers to those that are missing. Pure.

Each command that the service sends is tried, on the keys that it reads. Redis checks the command
first, then keys and channels, so a refusal tells which of them it was; where every command on a
key is refused, whether the key is permitted cannot be told, and the rule grants both.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from ..wire.keys import Layout, glob_of
from .diagnosis import Finding, Step, Verdict, broken, ok, unknown

_KEEP: Final = "Run this in redis-cli as an administrator; ACL SAVE, or the users file, keeps it."
_is_old: Final = re.compile(r"NOPERM this user\b").match


class Denial(Enum):
    """What a refusal was about."""

    COMMAND = auto()
    PLACE = auto()
    """The key, or the channel."""


class Need(Struct, frozen=True):
    """One command that the service sends."""

    words: tuple[str | int, ...]
    grant: str
    """As an ACL names it."""
    purpose: str
    """What comes of lacking it, to follow "so"."""
    place: str | None = None
    """A pattern of keys or channels that it is sent for; None: of none."""
    optional: bool = False


class Tried(Struct, frozen=True):
    """How one command was answered."""

    need: Need
    denial: Denial | None
    old: bool = False
    """In the words of Redis 6, which cannot permit a key for reading only."""


class Grants(Struct, frozen=True):
    """How all of them were."""

    user: str
    tried: tuple[Tried, ...]
    places: dict[str, bool] = {}
    """Of patterns for which all commands were refused: whether another command was let through."""


def needs_of_queues(
    layout: Layout, queues: Iterable[str], *, peek: bool, held: bool
) -> Iterator[Need]:
    """What measuring the queues needs.

    Args:
        layout: the keys of the application.
        queues: those that are known.
        peek: whether more than the head of a queue is read.
        held: whether it is looked for what workers hold of each queue.
    """
    for name in queues:
        (_, key), place = layout.queue_keys(name)[0], glob_of(layout.prefix + name) + "*"
        where = f"queue {name}"
        yield Need(("LLEN", key), "llen", f"it is unknown how much waits in {where}", place)
        yield Need(("LINDEX", key, -1), "lindex", f"the oldest in {where} is unknown", place)
        if peek:
            what = f"only the head of {where} is looked at"
            yield Need(("LRANGE", key, -1, -1), "lrange", what, place)
    index = layout.held_index
    yield Need(("ZCARD", index), "zcard", "it is unknown how much workers hold", glob_of(index))
    yield Need(
        ("ZRANGE", index, 0, 0), "zrange", "it is unknown how long they hold it", glob_of(index)
    )
    if held:
        what = "what workers hold is not known by queue"
        yield Need(("HMGET", layout.held, "-"), "hmget", what, glob_of(layout.held))
    bindings = layout.binding_key("celery")
    yield Need(
        ("SMEMBERS", bindings),
        "smembers",
        "only queues that events name are found",
        layout.bindings,
    )
    what = "queues are missed whose exchange has another name, until an event names them"
    yield Need(("SCAN", 0, "COUNT", 1), "scan", what, optional=True)


def needs_of_events(pattern: str) -> Iterator[Need]:
    """What listening to events needs; *pattern* is what is subscribed to."""
    yield Need(("PING",), "ping", "a connection that died would look like a quiet one")
    # Last: a connection that has subscribed can do little else.
    yield Need(("PSUBSCRIBE", pattern), "psubscribe", "no event is seen", f"&{pattern}")


def denial_of(error: str) -> tuple[Denial | None, bool]:
    """Read an error; also whether it is in the words of Redis 6."""
    old = _is_old(error) is not None
    if not error.startswith("NOPERM"):
        return None, old  # a key of another type, which is no matter of permissions
    return (Denial.COMMAND if "command" in error else Denial.PLACE), old


def unsettled(tried: Sequence[Tried]) -> tuple[str, ...]:
    """Patterns of keys of which nothing is known, because no command on them is permitted."""
    known = {each.need.place for each in tried if each.denial is not Denial.COMMAND}
    places = dict.fromkeys(each.need.place for each in tried)
    return tuple(place for place in places if place is not None and place not in known)


def judge_grants(grants: Grants, *, about: str | None = None) -> tuple[list[Finding], str | None]:
    """Tell each permission that is missing; and one rule for all that must be there.

    Args:
        grants: how the commands were answered.
        about: which server, where there are several.
    """
    where = f" on the {about}" if about else ""
    missing = list(_missing(grants, where))
    needed = [finding for finding in missing if finding.verdict is Verdict.BROKEN]
    optional = [finding for finding in missing if finding.verdict is not Verdict.BROKEN]
    if not needed:
        fine = ok(Step.PERMISSION, f"all that are needed{where}: {_granted(grants)}")
        return [fine, *optional], None
    words = dict.fromkeys(word for each in needed for word in shlex.split(each.fix or "")[3:])
    rule = _rule(grants.user, words) if len(needed) > 1 else None
    return [*needed, *optional], rule


def _granted(grants: Grants) -> str:
    names = dict.fromkeys(str(each.need.words[0]) for each in grants.tried if each.denial is None)
    return ", ".join(names)


def _missing(grants: Grants, where: str) -> Iterator[Finding]:
    """Each missing command with the places that may be missing as well; then each place."""
    old = any(each.old for each in grants.tried)
    unsure = {place for place in unsettled(grants.tried) if place not in grants.places}
    commands: dict[str, list[str]] = {}
    needs: dict[str, Need] = {}
    for each in grants.tried:
        need = each.need
        if each.denial is Denial.COMMAND:
            words = commands.setdefault(f"+{need.grant}", [])
            needs.setdefault(f"+{need.grant}", need)
            if need.place in unsure and need.place is not None:
                words.append(_place(need.place, old=old))
    for command, places in commands.items():
        yield _finding(grants.user, needs[command], [command, *places], where)
    for place in _denied_places(grants):
        need = next(each.need for each in grants.tried if each.need.place == place)
        yield _finding(grants.user, need, [_place(place, old=old)], where)


def _denied_places(grants: Grants) -> Iterable[str]:
    refused = [each.need.place for each in grants.tried if each.denial is Denial.PLACE]
    closed = [place for place, permitted in grants.places.items() if not permitted]
    return dict.fromkeys(place for place in (*refused, *closed) if place is not None)


def _finding(user: str, need: Need, words: list[str], where: str) -> Finding:
    judge = unknown if need.optional else broken
    says = f"user {user!r} lacks it{where}, so {need.purpose}"
    return judge(Step.PERMISSION, says, _KEEP, about=words[0], fix=_rule(user, words))


def _place(pattern: str, *, old: bool) -> str:
    """A pattern as a word of a rule; reading only, where Redis knows that."""
    if pattern.startswith("&"):
        return pattern
    return f"~{pattern}" if old else f"%R~{pattern}"


def _rule(user: str, words: Iterable[str]) -> str:
    """The line for redis-cli, which understands quotes as a shell does."""
    return " ".join(("ACL SETUSER", *(shlex.quote(word) for word in (user, *words))))
