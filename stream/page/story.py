"""One task's whole story: its deliveries as the engine knows them, and how each ended.

The engine forgets a task soon after its end and never keeps what an exception said; what ended
lately is kept for longer and knows it. Each fills in what the other does not have.
"""

from collections.abc import Iterable
from operator import attrgetter

from ..core.effects import AttemptEnded
from ..core.look import DeliveryLook, TaskLook
from ..core.states import State
from ..core.trace import Trace
from ..sinks.history import End, ended_at, total_of
from ..sinks.identity import origin, process_span_id
from .answers import Delivery, TaskDetail
from .telling import Telling
from .watched import Brokers, Watched


def tell(brokers: Brokers, uuid: str, *, telling: Telling, now: float) -> TaskDetail | None:
    """Tell one task's story; None where nothing is known of it, or not any more."""
    for broker, watched in brokers.items():
        story = _Story(broker, watched, uuid, telling)
        if story.is_known:
            return story.told(now)
    return None


class _Story:
    def __init__(self, broker: str, watched: Watched, uuid: str, telling: Telling) -> None:
        self._broker = broker
        self._uuid = uuid
        self._telling = telling
        self._task = watched.engine.task(uuid)
        self._finished, self._ends = watched.history.of(uuid)
        self._revised = watched.history.revisions().get(uuid)

    @property
    def is_known(self) -> bool:
        return bool(self._task or self._finished or self._ends)

    def told(self, now: float) -> TaskDetail:
        task, finished = self._task, self._finished
        known: TaskLook | End = task or finished or self._ends[-1]
        root_id, parent_id = self._kin()
        trace = origin(self._trace(), root_id, self._uuid)
        trace_id = f"{trace.trace_id:032x}"
        in_order = attrgetter("retries", "ordinal")
        deliveries = tuple(sorted(self._deliveries(trace_id), key=in_order))
        span_id = deliveries[-1].span_id if deliveries else ""
        return TaskDetail(
            at=now,
            broker=self._broker,
            uuid=self._uuid,
            name=known.kind.name,
            queue=known.kind.queue,
            state=self._state(),
            ended=finished is not None if task is None else task.finished,
            stuck=task is not None and task.stuck,
            unsure=task is not None and task.unsure,
            since=self._since(),
            root_id=root_id,
            parent_id=parent_id,
            trace_id=trace_id,
            trace_source=trace.source.value,
            trace_url=self._telling.link(trace_id, span_id),
            total=None if finished is None else total_of(finished),
            deliveries=deliveries,
        )

    def _state(self) -> State:
        if self._task is not None:
            return self._task.state
        if self._finished is not None:
            return self._revised or self._finished.state
        return self._ends[-1].state

    def _since(self) -> float:
        if self._finished is not None:
            return ended_at(self._finished)
        return self._ends[-1].ended_at if self._task is None else self._task.since

    def _kin(self) -> tuple[str | None, str | None]:
        """The root's and the parent's uuid."""
        if self._task is not None:
            return self._task.root_id, self._task.parent_id
        if self._ends:
            return self._ends[-1].root_id, self._ends[-1].parent_id
        return (None if self._finished is None else self._finished.root_id), None

    def _trace(self) -> Trace | None:
        """The trace of the newest delivery that has one."""
        traces = [each.trace for each in self._ends]
        if self._task is not None:
            traces += [each.trace for each in self._task.deliveries]
        known = [trace for trace in traces if trace is not None]
        return known[-1] if known else None

    def _deliveries(self, trace_id: str) -> Iterable[Delivery]:
        ends = {(each.retries, each.ordinal): each for each in self._ends}
        if self._task is not None:
            for look in self._task.deliveries:
                end = ends.pop((look.retries, look.ordinal), None)
                yield self._delivery(look, end, trace_id)
        for end in ends.values():
            yield self._delivery(_look_of(end), end, trace_id)

    def _delivery(self, look: DeliveryLook, end: AttemptEnded | None, trace_id: str) -> Delivery:
        telling = self._telling
        span_id = f"{process_span_id(self._uuid, look.retries, look.ordinal):016x}"
        args, kwargs = look.arguments or (None, None)
        return Delivery(
            look.retries,
            look.ordinal,
            look.state,
            look.inferred,
            look.hostname,
            look.pid,
            look.sent_at,
            look.eta,
            look.received_at,
            look.started_at,
            look.ended_at,
            look.wait,
            look.run,
            look.redelivered,
            None if end is None else end.reason,
            None if end is None else end.error_type,
            None if end is None or end.exception is None else telling.error(end),
            None if end is None else telling.prose(end.traceback),
            span_id,
            telling.link(trace_id, span_id),
            telling.argument(args),
            telling.argument(kwargs),
            None if end is None else telling.result(end.result),
        )


def _look_of(end: AttemptEnded) -> DeliveryLook:
    """What the end of a delivery tells of it, where the engine has forgotten it."""
    arguments = end.arguments
    return DeliveryLook(
        end.retries,
        end.ordinal,
        end.state,
        end.inferred,
        end.hostname,
        end.pid,
        end.sent_at,
        None,
        end.received_at,
        end.started_at,
        end.ended_at,
        end.wait,
        end.run,
        end.trace,
        end.redelivered,
        None if arguments is None else (arguments.positional, arguments.named),
    )
