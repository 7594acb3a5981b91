"""Whatever is looked for is found as if each task had been asked, and bounds only leave out."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from stream.core.engine import Engine
from stream.core.search import Search
from stream.core.states import State
from tests.builders import Process, feed, producer

NAMES = st.sampled_from(["mail.send", "mail.bounce", "Pay.charge"])
QUEUES = st.sampled_from(["mail", "pay", None])
WORKERS = [Process("w1@mail", 100), Process("w2@pay", 200)]
STATES = [State.SENT, State.RECEIVED, State.STARTED]
TASKS = st.lists(
    st.tuples(NAMES, QUEUES, st.sampled_from(STATES), st.integers(0, 1)), min_size=1, max_size=25
)
PATTERNS = st.sampled_from(["", "*", "mail*", "*a*", "w1*", "pay.charge", "?ail"])
WANTED = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["", "mail", "PAY", "u1", "w2", "nothing"]),
        "states": st.sets(st.sampled_from(STATES)).map(frozenset),
        "name": PATTERNS,
        "queue": PATTERNS,
        "worker": PATTERNS,
        "uuid": st.sampled_from(["", "u", "u1", "x"]),
    }
)


def filled(tasks):
    engine, shop = Engine(), producer()
    for number, (name, queue, state, which) in enumerate(tasks):
        uuid, worker = f"u{number}-", WORKERS[which]
        feed(engine, shop.sent(uuid, number, name=name, queue=queue))
        if state is not State.SENT:
            feed(engine, worker.received(uuid, number + 0.1, name=name))
        if state is State.STARTED:
            feed(engine, worker.started(uuid, number + 0.2))
    return engine


def fits(pattern, text):
    return not pattern or (text is not None and fnmatchcase(text.casefold(), pattern))


def is_wanted(task, wanted):
    name, queue, hostname = task.kind.name, task.kind.queue, task.last.hostname
    text = wanted["text"].casefold()
    named = any(text in (each or "").casefold() for each in (name, queue, hostname))
    return (
        (not wanted["states"] or task.state in wanted["states"])
        and fits(wanted["name"], name)
        and fits(wanted["queue"], queue)
        and fits(wanted["worker"], hostname)
        and task.uuid.startswith(wanted["uuid"])
        and (named or task.uuid.startswith(text))
    )


@given(TASKS, WANTED)
def test_a_search_finds_what_asking_each_task_finds(tasks, wanted):
    engine = filled(tasks)
    everyone = [engine.task(f"u{number}-") for number in range(len(tasks))]
    expected = {task.uuid for task in everyone if is_wanted(task, wanted)}
    looked = engine.find(Search(**wanted), limit=100, budget=1_000)
    assert {task.uuid for task in looked.tasks} == expected
    assert looked.total == len(expected)


@given(TASKS, WANTED, st.integers(0, 30), st.integers(1, 30))
def test_bounds_leave_out_and_never_add(tasks, wanted, limit, budget):
    engine = filled(tasks)
    all_of_it = engine.find(Search(**wanted), limit=100, budget=1_000)
    looked = engine.find(Search(**wanted), limit=limit, budget=budget)
    uuids = [task.uuid for task in all_of_it.tasks]
    assert {task.uuid for task in looked.tasks} <= set(uuids)
    assert len(looked.tasks) <= limit
    assert looked.looked_at <= budget
    assert looked.total in (None, len(uuids))
    if looked.total is not None:
        assert [task.uuid for task in looked.tasks] == uuids[:limit]
