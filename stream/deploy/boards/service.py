"""How this service itself does: whether what the other dashboards show can be believed."""

from ...sinks import instruments as table
from ..names import Series
from ..panels import Dashboard, Panel, Query, Row, stat
from . import variables


def dashboard(series: Series) -> Dashboard:
    """Make it."""
    process = Series(series.names, variables.OF_PROCESS)
    return Dashboard(
        "celery-stream-service",
        "Celery / The service itself",
        "Intake, tables and delivery of celery-stream: what it could not see or send is counted.",
        (
            variables.job(series),
            variables.broker(series),
        ),
        (
            Row("Now", _now(series, process)),
            Row("Intake", _intake(series)),
            Row("Tables and loop", _tables(series, process)),
            Row("Delivery", _delivery(process)),
        ),
    )


def _now(series: Series, process: Series) -> tuple[Panel, ...]:
    refused = series.rate(table.EVENTS_REJECTED)
    return (
        stat(
            "Events per second",
            "Events that were read.",
            "ops",
            series.rate(table.EVENTS_DECODED),
        ),
        stat(
            "Last event",
            "Time since the last event. Workers send heartbeats every two seconds.",
            "s",
            f"max({series(table.EVENT_AGE)})",
            bad=(("green", None), ("orange", 15.0), ("red", 60.0)),
        ),
        stat(
            "Shed and unreadable",
            "Messages given up because the service could not keep up, and events that it could not "
            "read.",
            "ops",
            f"{series.rate(table.FRAMES_SHED)} + {refused}",
            bad=(("green", None), ("red", 0.001)),
        ),
        stat(
            "Gaps in the last hour",
            "Length of the interruptions of subscriptions; what was published meanwhile was not "
            "seen (on Redis, and on RabbitMQ without a retained queue).",
            "s",
            f"sum(increase({series(table.SOURCE_GAP_TIME)}[1h])) or vector(0)",
            bad=(("green", None), ("orange", 1.0)),
        ),
        stat(
            "Not delivered",
            "Items that were given up per second: the receiver refused them, or was away for too "
            "long.",
            "ops",
            process.rate(table.EXPORT_DROPPED),
            bad=(("green", None), ("red", 0.001)),
        ),
        stat(
            "Receivers that fail",
            "Signals whose receiver failed so often that nothing is sent for a while.",
            "none",
            f"sum({process(table.EXPORT_CIRCUIT)}) or vector(0)",
            bad=(("green", None), ("red", 1.0)),
        ),
    )


def _intake(series: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Messages and events",
            "One message may hold several events.",
            "ops",
            (
                Query(series.rate(table.FRAMES_RECEIVED), "messages"),
                Query(series.rate(table.EVENTS_DECODED), "events"),
                Query(series.rate(table.FRAMES_SHED), "shed"),
            ),
        ),
        Panel(
            "Odd and unreadable",
            "Duplicates, late and implied events, evictions; and what could not be read at all.",
            "ops",
            (
                Query(series.rate(table.EVENTS_ODD, by="reason"), "{{reason}}"),
                Query(series.rate(table.EVENTS_REJECTED), "unreadable"),
            ),
        ),
        Panel(
            "Connections",
            "Opened and lost, per hour.",
            "none",
            (
                Query(
                    f"sum by (source) (increase({series(table.SOURCE_OPENED)}[1h]))",
                    "{{source}} opened",
                ),
                Query(
                    f"sum by (source) (increase({series(table.SOURCE_LOST)}[1h]))",
                    "{{source}} lost",
                ),
            ),
        ),
        Panel(
            "Last message, by source",
            "Time since anything came.",
            "s",
            (Query(f"max by (source) ({series(table.SOURCE_FRAME_AGE)})", "{{source}}"),),
        ),
        Panel(
            "A look at the queues",
            "Time that it took, 95th percentile: the broker's answer time.",
            "s",
            (Query(series.quantile(0.95, table.POLL_DURATION, by="source"), "{{source}}"),),
        ),
        Panel(
            "Latencies not told",
            "For want of an event: sent, when producers have no task_send_sent_event.",
            "ops",
            (Query(series.rate(table.LATENCY_UNKNOWN, by="reason"), "{{reason}}"),),
        ),
    )


def _tables(series: Series, process: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Tasks in memory",
            "Followed, and ended ones that are still recognised. A followed task is 550 bytes.",
            "none",
            (
                Query(f"sum({series(table.TASKS_IN_FLIGHT)})", "in flight"),
                Query(f"sum({series(table.TASKS_REMEMBERED)})", "remembered"),
            ),
        ),
        Panel(
            "Left a full table",
            "Entries that left early, or did not enter, since the start. Raise the limit or find "
            "out who sends so many names.",
            "none",
            (Query(f"sum by (table) ({series(table.TABLE_EVICTED)})", "{{table}}"),),
        ),
        Panel(
            "How late the loop is",
            "99th percentile. Above 0.1 s the process has too little CPU.",
            "s",
            (Query(process.quantile(0.99, table.LOOP_DELAY), "p99"),),
        ),
    )


def _delivery(process: Series) -> tuple[Panel, ...]:
    return (
        Panel(
            "Sent",
            "Spans, points and records that the receiver acknowledged.",
            "ops",
            (Query(process.rate(table.EXPORT_SENT, by="signal"), "{{signal}}"),),
            stacked=True,
        ),
        Panel(
            "Refused, given up, failed",
            "Items refused one by one and given up, and requests that failed and are tried again.",
            "ops",
            (
                Query(process.rate(table.EXPORT_REJECTED), "refused"),
                Query(process.rate(table.EXPORT_DROPPED), "given up"),
                Query(process.rate(table.EXPORT_FAILURES), "failed requests"),
            ),
        ),
        Panel(
            "Waiting to be sent",
            "In memory and on disk.",
            "none",
            (
                Query(f"sum by (signal) ({process(table.EXPORT_WAITING)})", "{{signal}} in memory"),
                Query(f"sum by (signal) ({process(table.EXPORT_SPOOLED)})", "{{signal}} on disk"),
            ),
        ),
        Panel(
            "On disk",
            "Size of the files of items that wait; 0 without a spool.",
            "bytes",
            (Query(f"sum({process(table.SPOOL_BYTES)}) or vector(0)", "spool"),),
        ),
        Panel(
            "Spans left out",
            "By the sampler, or by the choice of spans; they were counted before.",
            "ops",
            (Query(process.rate(table.SPANS_UNSAMPLED), "left out"),),
        ),
        Panel(
            "Share of traces kept",
            "Falls below 1 when a budget of spans is exceeded.",
            "percentunit",
            (Query(f"min({process(table.SPANS_RATIO)}) or vector(1)", "kept"),),
            most=1.0,
        ),
    )
