"""What a reader of a dashboard chooses."""

from typing import Final

from ...sinks import instruments as table
from ..names import Series
from ..panels import Variable

OF_PROCESS: Final = 'job=~"$job"'
"""Matches what concerns the whole process and has no broker, whichever is chosen."""


def job(series: Series) -> Variable:
    """The instance of this service, of which one may have several, one for each broker."""
    everywhere = Series(series.names)
    return Variable("job", "Job", f"label_values({everywhere(table.WORKERS_ACTIVE)}, job)")


def broker(series: Series) -> Variable:
    """Brokers, where there are several or one was given a name; nobody else has such a label."""
    everywhere = Series(series.names)
    return Variable("broker", "Broker", f"label_values({everywhere(table.WORKERS_ACTIVE)}, broker)")


def queue(series: Series) -> Variable:
    """Queues that have been measured."""
    return Variable("queue", "Queue", f"label_values({series(table.QUEUE_DEPTH)}, queue)")


def task(series: Series) -> Variable:
    """Names of tasks that have been started."""
    return Variable("task", "Task", f"label_values({series(table.TASK_STARTED)}, task)")


def worker(series: Series) -> Variable:
    """Node names of workers."""
    return Variable("worker", "Worker", f"label_values({series(table.WORKER_UP)}, worker)")
