import gc
import tracemalloc
from collections import deque

import pytest

from stream.sinks.span_drafts import ProcessDraft, SendDraft, WaitDraft, draft_bytes
from stream.sinks.span_records import process_span, send_span, wait_span
from tests.builders import T0
from tests.sinks.span_effects import OBSERVED, ended, sent, waited

DRAFTS = [
    (SendDraft, send_span, sent()),
    (WaitDraft, wait_span, waited()),
    (ProcessDraft, process_span, ended()),
]


@pytest.mark.parametrize(("draft", "make", "effect"), DRAFTS)
def test_a_draft_makes_the_span_of_its_effect(draft, make, effect):
    assert draft(effect, OBSERVED, 1)() == make(effect, OBSERVED, threshold=1)


@pytest.mark.parametrize("draft", [ProcessDraft, SendDraft, WaitDraft])
def test_waiting_drafts_are_none_of_the_garbage_collectors_business(draft):
    assert not gc.is_tracked(draft(ended(), OBSERVED, None))


def a_run(number, **texts):
    at = [T0 + number + each / 8 for each in range(6)]
    return ProcessDraft(
        ended(
            uuid=f"{number:036}",
            root_id=f"{number:036}",
            **dict(zip(("sent_at", "received_at", "started_at", "ended_at"), at, strict=False)),
            wait=at[4],
            run=at[5],
            **texts,
        ),
        OBSERVED,
        None,
    )


def a_send(number):
    return SendDraft(sent(uuid=f"{number:036}", sent_at=T0 + number), OBSERVED, None)


def a_failure(number):
    return a_run(number, exception=f"E('{number:>500}')", traceback=f"é{number:>3000}")


@pytest.mark.parametrize("make", [a_run, a_send, a_failure])
def test_the_bytes_of_a_draft_are_about_what_it_takes(make):
    number, waiting = 1_000, deque()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        waiting.extend(make(each) for each in range(number))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    taken = (after - before) / number
    assert 0.6 < draft_bytes(waiting[0]) / taken < 1.7
