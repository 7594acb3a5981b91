import msgspec
import pytest

from stream.core.states import State
from stream.sinks.span_records import process_span, send_span, wait_span
from stream.sinks.span_table import SPANS
from tests.sinks.span_effects import OBSERVED, PARENT, ended, sent, waited

OF_A_NAMED_BROKER = msgspec.structs.replace(OBSERVED, broker="shop")
FULLEST = (
    send_span(sent(parent_id=PARENT), OF_A_NAMED_BROKER),
    wait_span(waited(parent_id=PARENT, ordinal=1), OF_A_NAMED_BROKER),
    process_span(
        ended(
            parent_id=PARENT,
            state=State.FAILURE,
            redelivered=True,
            inferred=True,
            error_type="ValueError",
            exception="ValueError('no')",
            traceback="tb",
        ),
        OF_A_NAMED_BROKER,
    ),
)
PAIRS = list(zip(SPANS, FULLEST, strict=True))


@pytest.mark.parametrize(("row", "span"), PAIRS, ids=[row.name for row in SPANS])
def test_the_table_has_the_attributes_that_a_span_can_have(row, span):
    emitted = [name for name, _ in span.all_attributes()]

    assert sorted(emitted) == sorted(name for name, _ in row.attributes)


@pytest.mark.parametrize(("row", "span"), PAIRS, ids=[row.name for row in SPANS])
def test_the_table_has_the_kind_and_the_name_of_a_span(row, span):
    operation, _, target = row.name.partition(" ")
    name = {"{task}": "shop.pay", "{queue}": "payments"}[target]

    assert (row.kind, f"{operation} {name}") == (span.kind.name, span.name)


def test_the_table_names_every_state_in_which_a_run_can_end():
    (*_, process) = SPANS
    meaning = dict(process.attributes)["celery.task.state"]
    ends = set(State) - {State.SENT, State.RECEIVED, State.STARTED}

    assert {word.strip("`") for word in meaning.partition(": ")[2].split(", ")} == ends
