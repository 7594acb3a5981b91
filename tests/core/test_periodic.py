"""Tasks that are sent at fixed intervals: learned or declared, late, missed, sent again."""

import pytest

from stream.config import BeatRule, BeatSettings
from stream.core.effects import PeriodicLate, PeriodicMissed, PeriodicResumed
from stream.core.engine import Engine
from stream.events import Subscribed
from tests.builders import T0, Process, feed, producer

PERIODIC = (PeriodicLate, PeriodicMissed, PeriodicResumed)


class Beat:
    """Sends a task now and then, to an engine that is told the time each second in between."""

    def __init__(self, engine, name="app.clean"):
        self.engine = engine
        self.process = producer("gen3@beat", 3)
        self.name = name
        self.now = 0.0
        self.told = []
        self.count = 0

    def wait_until(self, at):
        while self.now + 1 <= at:
            self.now += 1
            self.take(self.engine.tick(T0 + self.now))
        self.now = at

    def send(self, at, **fields):
        self.wait_until(at)
        self.count += 1
        event = self.process.sent(f"{self.name}-{self.count}", at=at, name=self.name, **fields)
        self.take(feed(self.engine, event))

    def take(self, effects):
        self.told += [each for each in effects if type(each) in PERIODIC]

    def types(self):
        return [type(each) for each in self.told]


@pytest.fixture
def beat():
    return Beat(Engine())


def test_what_is_sent_on_time_is_not_told_of(beat):
    for at in range(0, 1_000, 30):
        beat.send(at + at % 7 / 10)
    assert beat.told == []
    (gauge,) = beat.engine.view(T0 + beat.now).periodic
    assert (gauge.kind.name, gauge.declared, gauge.overdue) == ("app.clean", False, 0.0)
    assert gauge.every == pytest.approx(30, abs=1)


def test_an_interval_is_known_after_five_sendings(beat):
    for at in (0, 30, 60, 90):
        beat.send(at)
    assert not beat.engine.view(T0 + 90).periodic
    beat.send(120)
    assert len(beat.engine.view(T0 + 120).periodic) == 1


def test_one_that_does_not_come_is_late_once_and_missed_when_the_next_is_due(beat):
    for at in range(0, 150, 30):
        beat.send(at)
    beat.wait_until(154)
    assert [(type(each), each.due_at - T0) for each in beat.told] == [(PeriodicLate, 150)]
    beat.wait_until(184)
    assert beat.types() == [PeriodicLate, PeriodicMissed]
    assert (beat.told[-1].due_at - T0, beat.told[-1].row) == (150, 1)
    (gauge,) = beat.engine.view(T0 + 184).periodic
    assert gauge.overdue == 34.0


def test_that_it_comes_again_is_told_with_how_late_it_was(beat):
    for at in range(0, 150, 30):
        beat.send(at)
    beat.send(190)
    assert beat.types() == [PeriodicLate, PeriodicMissed, PeriodicResumed]
    assert (beat.told[-1].behind, beat.told[-1].missed) == (40.0, 1)


def test_what_was_learned_is_forgotten_after_five_misses(beat):
    for at in range(0, 150, 30):
        beat.send(at)
    beat.wait_until(1_000)
    assert beat.types() == [PeriodicLate, *[PeriodicMissed] * 5]
    assert not beat.engine.view(T0 + 1_000).periodic


def test_another_interval_is_learned_when_the_schedule_changes(beat):
    for at in [*range(0, 600, 60), *range(560, 760, 20)]:
        beat.send(at)
    (gauge,) = beat.engine.view(T0 + beat.now).periodic
    assert (gauge.every, beat.told) == (20.0, [])


def test_an_irregular_task_is_never_expected(beat):
    at = 0
    for number in range(60):
        at += (7, 31, 12, 90, 18)[number % 5]
        beat.send(at)
    beat.wait_until(at + 1_000)
    assert beat.told == []


def test_what_is_sent_every_second_is_load_and_no_schedule(beat):
    for at in range(60):
        beat.send(at)
    beat.wait_until(200)
    assert beat.told == []


def test_what_other_tasks_send_is_not_periodic(beat):
    for at in range(0, 300, 30):
        beat.send(at, parent_id="other", root_id="other")
    assert not beat.engine.view(T0 + beat.now).periodic


def test_a_declared_task_that_never_comes_is_late_and_missed_for_ever():
    beat = Beat(Engine(beat_rules=(BeatRule("app.nightly", every=100.0),)))
    beat.wait_until(1_000)
    assert beat.types() == [PeriodicLate, *[PeriodicMissed] * 8]
    assert beat.told[-1].row == 8


def test_a_declared_task_has_its_queue_once_it_comes():
    beat = Beat(Engine(beat_rules=(BeatRule("app.clean", every=100.0),)))
    beat.send(50)
    (gauge,) = beat.engine.view(T0 + 50).periodic
    assert (gauge.kind.queue, gauge.declared, gauge.last_at) == ("celery", True, T0 + 50)


def test_a_declared_slack_is_kept():
    beat = Beat(Engine(beat_rules=(BeatRule("app.*", every=100.0, slack=40.0),)))
    beat.send(0)
    beat.wait_until(139)
    assert beat.told == []
    beat.wait_until(142)
    assert beat.types() == [PeriodicLate]


def test_a_rule_without_an_interval_means_not_to_be_judged():
    beat = Beat(Engine(beat_rules=(BeatRule("app.*"),)))
    for at in range(0, 150, 30):
        beat.send(at)
    beat.wait_until(300)
    assert beat.told == []


def test_nothing_is_learned_where_that_is_turned_off():
    beat = Beat(Engine(beat=BeatSettings(learn=False)))
    for at in range(0, 150, 30):
        beat.send(at)
    assert not beat.engine.view(T0 + beat.now).periodic


def test_what_may_have_been_sent_in_a_gap_was_not_missed(beat):
    for at in range(0, 150, 30):
        beat.send(at)
    beat.engine.subscribed(Subscribed(T0 + 300, "redis", 2, T0 + 125))
    beat.now = 300
    beat.wait_until(330)
    assert beat.told == []
    beat.wait_until(334)
    assert beat.types() == [PeriodicLate]


def test_when_it_was_sent_is_told_only_of_what_was_seen():
    beat = Beat(Engine(beat_rules=(BeatRule("app.clean", every=100.0),)))
    beat.wait_until(5)
    assert [each.last_at for each in beat.engine.view(T0 + 5).periodic] == [None]
    beat.send(10)
    beat.engine.subscribed(Subscribed(T0 + 60, "redis", 2, T0 + 40))
    assert [each.last_at for each in beat.engine.view(T0 + 60).periodic] == [T0 + 10]


def test_where_producers_tell_nothing_it_is_known_by_what_workers_receive():
    engine, worker = Engine(), Process()
    for at in range(0, 150, 30):
        feed(engine, worker.received(f"u{at}", at=at))
    (gauge,) = engine.view(T0 + 150).periodic
    assert (gauge.kind.queue, gauge.every) == (None, 30.0)


def test_a_snapshot_keeps_what_is_expected(beat):
    for at in range(0, 150, 30):
        beat.send(at)
    again = Engine()
    again.restore(beat.engine.snapshot())
    assert repr(list(again.tick(T0 + 200))) == repr(list(beat.engine.tick(T0 + 200)))
    assert again.snapshot() == beat.engine.snapshot()


def test_kinds_without_an_interval_leave_room_for_those_that_have_one(beat):
    for number in range(1_100):
        uuids = (f"u{number}-{each}" for each in range(20))
        name, process = f"app.load{number}", beat.process
        feed(beat.engine, *(process.sent(uuid, at=0.1, name=name) for uuid in uuids))
    for at in range(1, 152, 30):
        beat.send(at)
    assert [each.kind.name for each in beat.engine.view(T0 + 151).periodic] == ["app.clean"]
