"""What is expected of tasks, workers and Beat, and how long we wait for it."""

from typing import Annotated

from msgspec import Meta, Struct

from .values import OptionalLimit, Seconds, SecondsOrOff


class StuckLimits(Struct, frozen=True):
    """After how many seconds in a phase a task is called stuck; 0 turns the phase off."""

    queued: Annotated[
        SecondsOrOff,
        Meta(description="Seconds in a queue, beyond its ETA, after which a task is stuck; 0: off"),
    ] = 300.0
    prefetched: Annotated[
        SecondsOrOff, Meta(description="Seconds at a worker, not started; 0: off")
    ] = 300.0
    running: Annotated[SecondsOrOff, Meta(description="Seconds in one run; 0: off")] = 600.0
    retrying: Annotated[
        SecondsOrOff, Meta(description="Seconds beyond the retry's own countdown; 0: off")
    ] = 300.0


class StuckRule(Struct, frozen=True):
    """Limits of its own for the tasks whose name and queue match patterns (``fnmatch``).

    None takes the limit of `StuckLimits`. The first rule that matches decides.
    """

    task: Annotated[str, Meta(description="Pattern of task names, like `reports.*`")] = "*"
    queue: Annotated[
        str | None, Meta(description="Pattern of queue names; unset: any, and those not known")
    ] = None
    queued: OptionalLimit = None
    prefetched: OptionalLimit = None
    running: OptionalLimit = None
    retrying: OptionalLimit = None


class BeatRule(Struct, frozen=True):
    """How often the tasks are sent whose name and queue match patterns (``fnmatch``).

    The first rule that matches decides.
    """

    task: Annotated[str, Meta(description="Pattern of task names, like `reports.nightly`")] = "*"
    queue: Annotated[
        str | None, Meta(description="Pattern of queue names; unset: any, and those not known")
    ] = None
    every: SecondsOrOff = 0.0
    """Seconds between two sendings; 0: not to be judged."""
    slack: OptionalLimit = None
    """Seconds that one may be late; None: a tenth of the interval, 2 s to a minute."""


class BeatSettings(Struct, frozen=True):
    """What is expected of Celery Beat."""

    learn: Annotated[
        bool,
        Meta(
            description="Also expect tasks that were sent five times at one interval, not only "
            "those that `[[beat_rules]]` declare"
        ),
    ] = True


class Graces(Struct, frozen=True):
    """How long to wait before a worker or a task is given up. All but the first are rarely set."""

    suspect: Annotated[
        Seconds,
        Meta(description="Seconds without heartbeat that make a worker suspect; at least three"),
    ] = 10.0
    # A solo pool sends no heartbeat while it works, so this bounds how long its tasks may run.
    lost: Annotated[
        Seconds, Meta(description="Seconds without heartbeat after which its work is lost")
    ] = 300.0
    replaced: Annotated[
        Seconds,
        Meta(description="Instead, where another process of its node name has come since"),
    ] = 60.0
    offline: Annotated[
        Seconds,
        Meta(
            description="Seconds after a worker's goodbye until what it fetched and did not begin "
            "is back in its queue; what it runs it may still end"
        ),
    ] = 10.0
    excess: Annotated[
        Seconds,
        Meta(description="Seconds for which a worker must report less work than we count"),
    ] = 60.0
    sent: Annotated[
        Seconds,
        Meta(description="Seconds until a task that is in no queue and at no worker is unknown"),
    ] = 30.0
    redelivery: Annotated[
        Seconds,
        Meta(description="Seconds for a lost worker's message to come again: Redis' visibility"),
    ] = 3600.0
    silent: Annotated[
        Seconds, Meta(description="Seconds after which a task that nothing is heard of is unknown")
    ] = 86_400.0
    remembered: Annotated[
        Seconds, Meta(description="Seconds for which an ended task is recognised")
    ] = 120.0

    @property
    def longest(self) -> float:
        """After this much time without any event nothing is open any more."""
        return self.silent + self.redelivery + self.lost + self.remembered + 2 * self.suspect
