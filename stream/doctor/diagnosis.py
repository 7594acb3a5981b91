"""What the doctor tells: findings, by broker and receiver. Also the schema of ``--json``.

A finding says what is so, and, where it is not as it should be, what to do about it in one sentence
and, where there is one, the exact line to run. Nothing in it is a credential.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    BROKEN = "broken"
    """It will not work like this, or hides something from us: the exit code is 1."""
    UNKNOWN = "unknown"
    """It could not be told, or deserves a look."""


class Step(StrEnum):
    """What was looked at."""

    SENTINEL = "sentinel"
    """Which server is the master."""
    REACHABLE = "reachable"
    AUTHENTICATED = "authenticated"
    DATABASE = "database"
    VIRTUAL_HOST = "virtual host"
    PERMISSION = "permission"
    """One for each that is missing, with ``about`` what is missing; or one that all are there."""
    EXCHANGE = "event exchange"
    MANAGEMENT = "management API"
    RETAINED = "retained queue"
    """With ``--retain`` only; ``value`` is how many messages wait in it."""
    EVENTS = "events"
    """Whether any arrive, and can be read."""
    TASK_EVENTS = "task events"
    """Of the worker ``about``; ``value`` is how many tasks it ran meanwhile."""
    TASK_SENT = "task-sent"
    """Whether producers tell what they send; ``value`` is how many tasks they told."""
    CLOCK = "clock"
    """Of the host ``about``; ``value`` is by how many seconds it is ahead of ours."""
    QUEUE = "queue"
    """The one that ``about`` names; ``value`` is how many messages wait in it."""
    EXPORT = "export"
    """Of the signal ``about``."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """One step, or one of several things that a step is about."""

    step: Step
    verdict: Verdict
    says: str
    """A sentence, or a part of one."""
    about: str | None = None
    """The worker, host, queue, signal or permission, where there are several."""
    advice: str | None = None
    """What to do, one sentence; always there where the verdict is not ok."""
    fix: str | None = None
    """The line to run: for ``redis-cli`` as an administrator, or in the shell of RabbitMQ."""
    value: float | None = None
    """A number that goes with it; see `Step`."""


class Checkup(Struct, frozen=True, omit_defaults=True):
    """All that was found of one broker, or of the receiver."""

    subject: str
    """``broker NAME`` or ``otlp``."""
    url: str
    """Without user and password; empty where none is set."""
    findings: tuple[Finding, ...]
    fix: str | None = None
    """One line that grants all permissions that must be there, where several are missing."""


class Diagnosis(Struct, frozen=True):
    """Everything: what ``--json`` prints."""

    version: str
    """Of celery-stream."""
    listened: float
    """Seconds that were spent on listening to events."""
    broken: int
    """Findings with that verdict. The exit code is 1 unless it is 0."""
    unknown: int
    """Likewise."""
    checkups: tuple[Checkup, ...]


def diagnosis_of(checkups: Iterable[Checkup], *, version: str, listened: float) -> Diagnosis:
    """Count the verdicts."""
    all_of_them = tuple(checkups)
    verdicts = [finding.verdict for each in all_of_them for finding in each.findings]
    return Diagnosis(
        version=version,
        listened=listened,
        broken=verdicts.count(Verdict.BROKEN),
        unknown=verdicts.count(Verdict.UNKNOWN),
        checkups=all_of_them,
    )


def ok(step: Step, says: str, *, about: str | None = None, value: float | None = None) -> Finding:
    """It is as it should be."""
    return Finding(step, Verdict.OK, says, about, value=value)


def broken(
    step: Step,
    says: str,
    advice: str,
    *,
    about: str | None = None,
    fix: str | None = None,
    value: float | None = None,
) -> Finding:
    """It is not as it should be."""
    return Finding(step, Verdict.BROKEN, says, about, advice, fix, value)


def unknown(
    step: Step,
    says: str,
    advice: str,
    *,
    about: str | None = None,
    fix: str | None = None,
    value: float | None = None,
) -> Finding:
    """It cannot be told, or deserves a look."""
    return Finding(step, Verdict.UNKNOWN, says, about, advice, fix, value)
