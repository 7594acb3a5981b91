"""The settings: what there is to set, each declared once.

A field's type, default and description are all that is written down; `configure` derives from
them the key in the file, the environment variable, the flag, the validation and the reference
table. Constructing these classes in code validates nothing: `configure.load` is the door.
"""

from typing import Annotated, Literal

from msgspec import Meta

from .brokers import BrokerOptions, BrokerSettings, RabbitmqSettings
from .expectations import BeatRule, BeatSettings, Graces, StuckLimits, StuckRule
from .otlp import OtlpSettings, SpoolSettings
from .outputs import AccessSettings, CaptureSettings, PageSettings, RecordSettings, SpanSettings
from .values import BROKER_NAME, BrokerUrls, Compats, Count, HostPort, Seconds

__all__ = [
    "BROKER_NAME",
    "AccessSettings",
    "BeatRule",
    "BeatSettings",
    "BrokerOptions",
    "BrokerSettings",
    "CaptureSettings",
    "Graces",
    "OtlpSettings",
    "PageSettings",
    "RabbitmqSettings",
    "RecordSettings",
    "Settings",
    "SpanSettings",
    "SpoolSettings",
    "StuckLimits",
    "StuckRule",
    "host_and_port",
]


class Settings(BrokerOptions, frozen=True):
    """All settings of ``celery-stream run``."""

    broker: Annotated[
        BrokerUrls,
        Meta(
            description="URL of the broker whose events are read. Several: the flag repeated, "
            "white space between them, or `[[broker]]` tables; each may be `NAME=URL`"
        ),
    ] = "redis://127.0.0.1:6379/0"
    brokers: tuple[BrokerSettings, ...] = ()
    """Where there are several, or one has a name; `broker` and the options of its own else."""
    listen: Annotated[
        HostPort,
        Meta(description="Where the page, `/metrics` and `/health` are served; port 0: any free"),
    ] = "127.0.0.1:9540"
    compat: Annotated[
        Compats,
        Meta(
            description="Whose metrics `/metrics` tells instead of ours: `celery-exporter`, "
            "`flower` or both; `/metrics?compat=…` asks for one page, `compat=none` for ours"
        ),
    ] = ()
    grace: Annotated[
        Seconds, Meta(description="Seconds for draining and flushing after SIGTERM")
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Of the service's own log: `debug`, `info`, `warning` or `error`"),
    ] = "info"
    records: Annotated[
        bool, Meta(description="Also write the log records as JSON lines to stdout")
    ] = True
    max_tasks: Annotated[Count, Meta(description="Tasks in flight that are followed at once")] = (
        1_000_000
    )
    max_kinds: Annotated[
        Count,
        Meta(description="Pairs of task name and queue; further ones are counted as `other`"),
    ] = 2_000
    channel_frames: Annotated[
        Count,
        Meta(description="Messages that wait for the engine before the oldest are shed"),
    ] = 20_000
    stuck: StuckLimits = StuckLimits()
    stuck_rules: tuple[StuckRule, ...] = ()
    beat: BeatSettings = BeatSettings()
    beat_rules: tuple[BeatRule, ...] = ()
    graces: Graces = Graces()
    spans: SpanSettings = SpanSettings()
    log_records: RecordSettings = RecordSettings()
    page: PageSettings = PageSettings()
    access: AccessSettings = AccessSettings()
    capture: CaptureSettings = CaptureSettings()
    spool: SpoolSettings = SpoolSettings()
    otlp: OtlpSettings = OtlpSettings()


def host_and_port(listen: str) -> tuple[str, int]:
    """Split a valid ``HOST:PORT``; the brackets of an IPv6 address are taken off."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
