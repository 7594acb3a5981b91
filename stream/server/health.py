"""Whether the service sees its cluster: four checks, from what the process already knows.

Pure: nothing is asked of a broker or a worker.
"""

from collections.abc import Iterable, Mapping

from msgspec import UNSET, Struct, UnsetType, structs

from ..core.states import WorkerState
from ..core.view import BrokerGauge, View


class SourceStatus(Struct, frozen=True):
    """One subscription."""

    name: str
    connected: bool
    epoch: int = 0
    """Connections so far."""
    last_error: str | None = None
    """One line without credentials; None if there was none."""


class ExportStatus(Struct, frozen=True):
    """How one signal of telemetry is delivered."""

    name: str
    ok: bool = True
    """Whether the last request succeeded, or none was made yet."""
    circuit: str = "closed"
    """``closed``, ``open`` or ``half_open``."""
    retry_in: float | None = None
    """Seconds until the next request where it is open."""
    last_error: str | None = None
    """One line without credentials; kept after recovery."""
    waiting: int = 0
    """Items in memory."""
    spooled: int = 0
    """Items on disk."""


class Status(Struct, frozen=True):
    """What is known beyond the engine's tables."""

    sources: tuple[SourceStatus, ...]
    exports: tuple[ExportStatus, ...] = ()
    """Of each signal that has an endpoint."""
    polling: bool = True
    """Whether queue keys are read at all."""


class Limits(Struct, frozen=True):
    """How old what is known may be, in seconds."""

    event_age: float = 60.0
    """Workers send a heartbeat every 2 s, so a minute without an event is no quiet cluster."""
    poll_age: float = 30.0
    """Six polls at their default interval."""


class Checks(Struct, frozen=True):
    """What is well."""

    broker: bool
    """Every source is subscribed, and the queue keys were read recently."""
    worker: bool
    """At least one worker is alive."""
    events: bool
    """An event came recently."""
    export: bool
    """The receiver takes what is sent, or nothing is sent. Does not make the service unhealthy:
    a restart would not help, and lose what waits."""


class Details(Struct, frozen=True):
    """Each check in a sentence for a person."""

    broker: str
    worker: str
    events: str
    export: str


class Health(Struct, frozen=True):
    """The answer; as JSON it is the body of ``/health``."""

    status: str
    """``healthy`` or ``unhealthy``."""
    checks: Checks
    details: Details
    delivery: tuple[ExportStatus, ...] | UnsetType = ()
    """Of each signal that has an endpoint."""
    brokers: "Mapping[str, Health] | UnsetType" = UNSET
    """Where brokers have names: how each of them is, by itself."""

    @property
    def ok(self) -> bool:
        """Whether the status is ``healthy``."""
        return self.status == "healthy"


def health(view: View, status: Status, *, now: float, limits: Limits = Limits()) -> Health:  # noqa: B008  immutable
    """Judge how the service is.

    Args:
        view: what the engine's tables hold.
        status: what is known beside them.
        now: epoch seconds on the clock that frames are stamped with.
        limits: how old things may be.
    """
    broker_ok, broker = _broker(view.brokers, status, now - limits.poll_age, now)
    worker_ok, worker = _worker(view)
    events_ok, events = _events(view.last_event_at, now, limits.event_age)
    export_ok, export = _export(status.exports)
    well = broker_ok and worker_ok and events_ok
    return Health(
        "healthy" if well else "unhealthy",
        Checks(broker_ok, worker_ok, events_ok, export_ok),
        Details(broker, worker, events, export),
        status.exports,
    )


def of_all(brokers: Mapping[str, Health], exports: tuple[ExportStatus, ...]) -> Health:
    """Judge several brokers together: well only where each of them is.

    Args:
        brokers: how each is, by name.
        exports: of each signal that has an endpoint.
    """
    each = brokers.values()
    export_ok, export = _export(exports)
    return Health(
        "healthy" if all(one.ok for one in each) else "unhealthy",
        Checks(
            all(one.checks.broker for one in each),
            all(one.checks.worker for one in each),
            all(one.checks.events for one in each),
            export_ok,
        ),
        Details(
            "; ".join(f"{name}: {one.details.broker}" for name, one in brokers.items()),
            "; ".join(f"{name}: {one.details.worker}" for name, one in brokers.items()),
            "; ".join(f"{name}: {one.details.events}" for name, one in brokers.items()),
            export,
        ),
        exports,
        {name: structs.replace(one, delivery=UNSET) for name, one in brokers.items()},
    )


def is_stale(view: View, *, now: float, limit: float = Limits().event_age) -> bool:
    """Whether events have stopped to come although no worker said goodbye."""
    if view.last_event_at is None or now - view.last_event_at <= limit:
        return False
    return any(worker.state is not WorkerState.OFFLINE for worker in view.workers)


def _broker(
    brokers: Iterable[BrokerGauge], status: Status, oldest_poll_at: float, now: float
) -> tuple[bool, str]:
    if not status.sources:
        return False, "no source is configured"
    lost = [source for source in status.sources if not source.connected]
    if lost:
        return False, "; ".join(f"{s.name}: {s.last_error or 'not connected yet'}" for s in lost)
    subscribed = ", ".join(f"{s.name} (epoch {s.epoch})" for s in status.sources)
    if not status.polling:
        return True, f"subscribed: {subscribed}"
    sampled = [(gauge.source, gauge.sampled_at) for gauge in brokers]
    stale = [name for name, at in sampled if at is None or at < oldest_poll_at]
    if stale or not sampled:
        return False, f"subscribed, but queue keys not read lately: {', '.join(stale) or 'none'}"
    age = max(0.0, now - min(at for _, at in sampled if at is not None))
    return True, f"subscribed: {subscribed}; queue keys read {age:.1f} s ago"


def _worker(view: View) -> tuple[bool, str]:
    states = [gauge.state for gauge in view.workers]
    counts = {state: states.count(state) for state in WorkerState}
    alive = counts[WorkerState.ONLINE] + counts[WorkerState.SUSPECT]
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return alive > 0, told or "no worker was seen yet"


def _events(last_event_at: float | None, now: float, limit: float) -> tuple[bool, str]:
    if last_event_at is None:
        return False, "no event was seen yet; do the workers run with -E?"
    age = max(0.0, now - last_event_at)
    return age <= limit, f"last event {age:.1f} s ago (limit {limit:g} s)"


def _export(exports: Iterable[ExportStatus]) -> tuple[bool, str]:
    exports = tuple(exports)
    if not exports:
        return True, "no endpoint is configured"
    failing = [each for each in exports if not each.ok]
    return not failing, "; ".join(map(_failure, failing)) or "sending"


def _failure(export: ExportStatus) -> str:
    said = f"{export.name}: {export.last_error or 'the last attempt failed'}"
    if export.retry_in is not None:
        said += f", next try in {export.retry_in:.0f} s"
    if export.spooled:
        said += f", {export.spooled} on disk"
    return said
