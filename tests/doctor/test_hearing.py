"""What is heard, and what is made of it, without a loop or a clock."""

import msgspec
import pytest

from stream.doctor.diagnosis import Step, Verdict
from stream.doctor.hearing import Heard, Hearing
from stream.doctor.judge_events import Listened, judge_events, judge_queues
from stream.events import QueueDepth, QueueSample, Subscribed
from tests.builders import T0, Process, message, producer

SECONDS = 7.0
CHANNEL = "/0.celeryev"


class Cluster:
    """A hearing, and what is said to it."""

    def __init__(self, *, waiting=0, **limits):
        self.hearing = Hearing(**limits)
        depths = (QueueDepth("celery", {0: waiting}),)
        self.hearing.take([Subscribed(T0, "test", 1), QueueSample(T0, "test", depths)])

    def say(self, *events, at=None):
        for event in events:
            arrived = event.timestamp - T0 if at is None else at
            body = msgspec.json.decode(msgspec.json.encode(event))
            self.hearing.take([message([body], arrived)])
        return self

    def work(self, worker, tasks, *, told=True, since=2.0):
        """Let a worker run tasks between heartbeats, and tell of them or not."""
        self.say(worker.heartbeat(since, processed=0))
        if told:
            for number in range(tasks):
                uuid = f"{worker.hostname}-{number}"
                self.say(worker.received(uuid, since + 0.5), worker.started(uuid, since + 0.6))
                self.say(worker.succeeded(uuid, since + 0.7))
        self.say(worker.heartbeat(since + 2, processed=tasks))
        return self.say(worker.heartbeat(since + 4, processed=tasks))

    def findings(self, step, **listened):
        heard = Listened(SECONDS, self.hearing.heard(), **listened)
        found = [*judge_events(heard, subscription=CHANNEL), *judge_queues(heard)]
        return [each for each in found if each.step is step]

    def finding(self, step, **listened):
        (found,) = self.findings(step, **listened)
        return found


# -- events --------------------------------------------------------------------------------------


def test_events_that_arrive_are_counted():
    found = Cluster().work(Process(), 2).finding(Step.EVENTS)
    assert (found.verdict, found.value) == (Verdict.OK, 9)


def test_silence_is_no_proof_of_a_fault():
    found = Cluster().finding(Step.EVENTS)
    assert found.verdict is Verdict.UNKNOWN
    assert "-E" in found.advice


def test_what_is_said_elsewhere_is_named():
    found = Cluster().finding(Step.EVENTS, elsewhere=("/1.celeryev",))
    assert found.verdict is Verdict.UNKNOWN
    assert "/1.celeryev" in found.says


def test_events_that_cannot_be_read_are_a_fault():
    cluster = Cluster()
    pickled = msgspec.structs.replace(message([]), content_type="application/x-python-serialize")
    cluster.hearing.take([pickled])
    found = cluster.finding(Step.EVENTS)
    assert (found.verdict, found.about) == (Verdict.BROKEN, "content_type")
    assert "event_serializer" in found.advice


# -- workers -------------------------------------------------------------------------------------


def test_a_worker_that_tells_of_its_tasks_is_well():
    found = Cluster().work(Process("w@a"), 3).finding(Step.TASK_EVENTS)
    assert (found.verdict, found.about, found.value) == (Verdict.OK, "w@a", 3)


def test_a_worker_that_runs_tasks_and_tells_of_none_has_its_events_off():
    found = Cluster().work(Process("w@a"), 3, told=False).finding(Step.TASK_EVENTS)
    assert (found.verdict, found.about, found.value) == (Verdict.BROKEN, "w@a", 3)
    assert "-E" in found.advice


@pytest.mark.parametrize("ran", [0, 2])
def test_of_a_worker_that_ran_few_tasks_or_none_it_cannot_be_told(ran):
    found = Cluster().work(Process(), ran, told=False).finding(Step.TASK_EVENTS)
    assert found.verdict is Verdict.UNKNOWN
    assert "--wait" in found.advice


def test_a_worker_that_told_of_some_deserves_a_look():
    cluster, worker = Cluster(), Process()
    cluster.say(worker.heartbeat(1, processed=0), worker.started("a", 2))
    cluster.say(worker.heartbeat(3, processed=5), worker.heartbeat(5, processed=5))
    found = cluster.finding(Step.TASK_EVENTS)
    assert (found.verdict, found.says) == (
        Verdict.UNKNOWN,
        "it told of 1 of 5 tasks that it ran",
    )


def test_a_worker_without_heartbeats_deserves_a_look():
    found = Cluster().say(Process().started("a", 2)).finding(Step.TASK_EVENTS)
    assert found.verdict is Verdict.UNKNOWN
    assert "heartbeat" in found.says


def test_each_worker_is_told():
    cluster = Cluster().work(Process("a@h", 1), 3).work(Process("b@h", 2), 3, told=False)
    found = cluster.findings(Step.TASK_EVENTS)
    assert [(each.about, each.verdict) for each in found] == [
        ("a@h", Verdict.OK),
        ("b@h", Verdict.BROKEN),
    ]


def test_what_a_worker_sends_is_no_proof_of_its_task_events():
    """A task that sends another one tells of that even where the worker was started without -E."""
    cluster, worker = Cluster(), Process()
    cluster.say(worker.sent("child", 3)).work(worker, 3, told=False)
    assert cluster.finding(Step.TASK_EVENTS).verdict is Verdict.BROKEN


def test_a_heartbeat_that_comes_twice_counts_once():
    worker = Process()
    beat = worker.heartbeat(2)
    (heard,) = Cluster().say(beat, beat).hearing.heard().workers
    assert heard.beats == 1


# -- producers -----------------------------------------------------------------------------------


def received(count, *, sent=0, at=3.0):
    """A cluster whose worker received tasks, of which producers told some."""
    worker, web = Process(), producer()
    events = [web.sent(f"t{number}", at) for number in range(sent)]
    return [*events, *(worker.received(f"t{number}", at + 0.1) for number in range(count))]


def test_producers_that_tell_are_well():
    found = Cluster().say(*received(4, sent=4)).finding(Step.TASK_SENT)
    assert (found.verdict, found.value) == (Verdict.OK, 4)


def test_tasks_from_nowhere_show_producers_that_do_not_tell():
    found = Cluster().say(*received(3)).finding(Step.TASK_SENT)
    assert found.verdict is Verdict.BROKEN
    assert "task_send_sent_event" in found.advice


def test_tasks_that_may_have_waited_since_before_show_nothing():
    found = Cluster(waiting=5).say(*received(3)).finding(Step.TASK_SENT)
    assert found.verdict is Verdict.UNKNOWN


def test_tasks_that_were_on_their_way_when_listening_began_show_nothing():
    found = Cluster().say(*received(3, at=0.2)).finding(Step.TASK_SENT)
    assert found.verdict is Verdict.UNKNOWN
    assert "nothing was sent" in found.says


def test_attempts_that_a_worker_sends_again_show_nothing_of_producers():
    worker = Process()
    retries = [worker.received(f"t{number}", 3, retries=1) for number in range(5)]
    assert Cluster().say(*retries).finding(Step.TASK_SENT).verdict is Verdict.UNKNOWN


def test_one_producer_of_two_that_does_not_tell_is_seen():
    found = Cluster().say(*received(5, sent=2)).finding(Step.TASK_SENT)
    assert (found.verdict, found.value) == (Verdict.UNKNOWN, 2)
    assert "of 5 tasks" in found.says


# -- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "verdict", "says"),
    [
        (0.0, Verdict.OK, "within"),
        (-0.5, Verdict.OK, "within"),
        (5.0, Verdict.UNKNOWN, "5.0 s ahead"),
        (-5.0, Verdict.UNKNOWN, "5.0 s behind"),
        (90.0, Verdict.BROKEN, "90.0 s ahead"),
        (-45.0, Verdict.BROKEN, "45.0 s behind"),
    ],
)
def test_a_clock_that_is_off_is_told(ahead, verdict, says):
    cluster, worker = Cluster(), Process("w@there", ahead=ahead)
    cluster.say(worker.heartbeat(2), at=2.0)
    found = cluster.finding(Step.CLOCK)
    assert (found.about, found.verdict, found.value) == ("there", verdict, ahead)
    assert says in found.says


def test_the_quickest_event_of_a_host_decides():
    """A solo pool sends its events late; the heartbeat of another worker there does not lie."""
    cluster = Cluster().say(Process("solo@there", 1).started("a", 1), at=31.0)
    cluster.say(Process("w@there", 2).heartbeat(31), at=31.0)
    assert cluster.finding(Step.CLOCK).verdict is Verdict.OK


# -- queues --------------------------------------------------------------------------------------


def sampled(*queues, **listened):
    listened = Listened(SECONDS, Heard(), sample=QueueSample(T0, "test", queues), **listened)
    return list(judge_queues(listened))


def test_queues_are_told_with_what_waits_in_them():
    found = sampled(QueueDepth("a", {0: 1, 9: 2}), QueueDepth("b", {0: 0}, unacknowledged=4))
    assert [(each.about, each.says, each.value) for each in found] == [
        ("a", "3 waiting", 3),
        ("b", "0 waiting, 4 at workers", 0),
    ]


def test_a_configured_queue_that_is_not_there_is_named():
    found = sampled(QueueDepth("a", {0: 1}), configured=("a", "b"))
    assert [(each.about, each.verdict) for each in found] == [
        ("a", Verdict.OK),
        ("b", Verdict.UNKNOWN),
    ]


def test_keys_that_could_not_be_read_are_counted():
    (_, found) = sampled(QueueDepth("a", {0: 1}), unreadable=2)
    assert (found.verdict, found.value) == (Verdict.UNKNOWN, 2)


def test_where_queues_were_not_seen_it_says_why():
    (found,) = judge_queues(Listened(SECONDS, queues_problem="gone"))
    assert (found.verdict, found.says) == (Verdict.UNKNOWN, "gone")


def test_what_is_remembered_is_bounded():
    cluster = Cluster(limit=2)
    for pid in range(5):
        cluster.say(Process(f"w{pid}@h", pid).heartbeat(1))
    heard = cluster.hearing.heard()
    assert (len(heard.workers), heard.events) == (2, 5)
