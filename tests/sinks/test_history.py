"""What ended lately: kept within bounds, counted, and grouped where it failed."""

from stream.core.effects import AttemptEnded
from stream.core.states import State
from stream.sinks.failure_groups import FailureGroups
from tests.builders import of_type
from tests.page.cluster import Cluster


def ended(history):
    return [finished.uuid for finished, _ in history.tasks()]


def test_a_task_that_ended_is_kept_with_the_delivery_that_decided():
    cluster = Cluster()
    cluster.run("u")
    ((finished, attempt),) = cluster.history.tasks()
    assert (finished.uuid, finished.state, attempt.run) == ("u", State.SUCCESS, 1.0)


def test_the_oldest_go_when_there_are_too_many():
    cluster = Cluster(history=3)
    for number in range(5):
        cluster.run(f"u{number}", at=number)
    assert ended(cluster.history) == ["u4", "u3", "u2"]
    assert len(cluster.history) == 3


def test_what_failed_is_not_pushed_out_by_what_succeeded():
    cluster = Cluster(history=3)
    cluster.fail("bad")
    for number in range(5):
        cluster.run(f"u{number}", at=number)
    assert "bad" in ended(cluster.history)


def test_what_failed_is_bounded_too():
    cluster = Cluster(history=1)
    for number in range(150):
        cluster.fail(f"u{number}", at=number)
    assert len(cluster.history.failed) == 100


def test_everything_is_counted():
    cluster = Cluster()
    cluster.run("good")
    cluster.fail("bad", at=5.0)
    cluster.start("again", at=10.0)
    cluster.feed(cluster.worker.retried("again", 11.0))
    counts = cluster.history.counts
    assert (counts.sent, counts.started, counts.finished, counts.failed, counts.retried) == (
        3,
        3,
        2,
        1,
        1,
    )


def test_an_attempt_before_the_last_is_kept_for_the_story():
    cluster = Cluster()
    cluster.start("u")
    worker = cluster.worker
    cluster.feed(
        worker.retried("u", 1.0),
        worker.received("u", 2.0, retries=1),
        worker.started("u", 2.1),
        worker.succeeded("u", 3.0),
    )
    finished, attempts = cluster.history.of("u")
    assert finished is not None
    assert [(each.retries, each.state) for each in attempts] == [
        (0, State.RETRY),
        (1, State.SUCCESS),
    ]


def test_deliveries_that_end_together_are_all_kept():
    cluster = Cluster()
    for uuid in ("u1", "u2"):
        cluster.start(uuid)
    effects = list(
        cluster.engine.feed(
            [cluster.worker.retried("u1", 1.0), cluster.worker.retried("u2", 1.1)], cluster.now()
        )
    )
    assert len(of_type(effects, AttemptEnded)) == 2
    cluster.history.accept(effects)
    assert [each.uuid for each in cluster.history.earlier] == ["u1", "u2"]


def test_failures_are_grouped_by_name_and_exception():
    cluster = Cluster()
    cluster.fail("u1", exception="ValueError('one')")
    cluster.fail("u2", at=2.0, exception="ValueError('two')")
    cluster.fail("u3", at=4.0, exception="KeyError('k')")
    groups = dict(cluster.history.groups.items())
    value_errors = groups["app.task", State.FAILURE, "ValueError"]
    assert (value_errors.count, value_errors.uuid) == (2, "u2")
    assert value_errors.example.exception == "ValueError('two')"
    assert groups["app.task", State.FAILURE, "KeyError"].count == 1


def test_the_group_with_the_newest_member_is_first_and_the_stalest_goes():
    groups, cluster = FailureGroups(limit=2), Cluster()
    for number, error in enumerate(("A", "B", "A", "C")):
        cluster.fail(f"u{number}", at=number, exception=f"{error}()")
    for finished, attempt in cluster.history.failed:
        groups.finished(finished, attempt)
    assert [key[2] for key, _ in groups.items()] == ["C", "A"]
    assert groups.dropped == 1


def test_a_very_long_text_is_cut_without_giving_its_secrets_away():
    cluster = Cluster()
    kept = 8_192  # of the end: it begins within the secret
    text = "x" * 20_000 + "password=hunter1hunter2 " + "y" * (kept - len("hunter2 ')"))
    cluster.fail("u", exception=f"ValueError('{text}')")
    ((_, attempt),) = cluster.history.failed
    assert len(attempt.exception) < 17_000
    assert "hunter" not in attempt.exception


def test_a_revised_end_is_known():
    cluster = Cluster()
    cluster.start("u")
    cluster.feed(cluster.worker.offline(1.0))
    cluster.tick(400.0)
    assert cluster.history.revisions() == {}
    cluster.feed(cluster.worker.succeeded("u", 400.0))
    assert cluster.history.revisions() == {"u": State.SUCCESS}
