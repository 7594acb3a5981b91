"""Stories that clusters tell: events per lane, each lane in its own order."""

from hypothesis import strategies as st

from tests.builders import Process, producer

HEADERS = (None, "nonsense", f"00-{'a' * 32}-{'1' * 16}-01", f"00-{'b' * 32}-{'2' * 16}-00")
ENDS = ("succeeded", "failed", "rejected", "revoked")


@st.composite
def stories(draw):
    """One task: its lanes, each a list of events in that lane's order.

    Attempts, each on one of a few workers, each but the last ended by ``retried``; the last one
    ends in any way, or not at all.
    """
    uuid = draw(st.uuids().map(str))
    workers = [Process(f"w{number}@{uuid[:4]}", number) for number in range(3)]
    web, child = producer(pid=50), producer("gen9@host", 51)
    lanes = {id(process): [] for process in (*workers, web, child)}
    attempts = draw(st.integers(1, 4))
    with_sent = draw(st.booleans())
    at = 0.0
    for retries in range(attempts):
        worker = draw(st.sampled_from(workers))
        lane = lanes[id(worker)]
        sender = web if retries == 0 else child
        headers = {"traceparent": draw(st.sampled_from(HEADERS))}
        if with_sent:
            lanes[id(sender)].append(sender.sent(uuid, at, retries=retries, **headers))
        lane.append(worker.received(uuid, at + 1, retries=retries, **headers))
        lane.append(worker.started(uuid, at + 2))
        at += 3
        if retries < attempts - 1:
            lane.append(worker.retried(uuid, at))
        elif end := draw(st.sampled_from((*ENDS, None))):
            lane.append(getattr(worker, end)(uuid, at))
    return [events for events in lanes.values() if events]


@st.composite
def interleavings(draw, lanes):
    """One order of all events that keeps the order of each lane."""
    waiting = [list(lane) for lane in lanes]
    merged = []
    while any(waiting):
        lane = draw(st.sampled_from([each for each in waiting if each]))
        merged.append(lane.pop(0))
    return merged
