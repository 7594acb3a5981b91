"""The table of records says what the code tells, no more and no less."""

from collections import defaultdict

import pytest

from stream.core.effects import Advice
from stream.core.states import State, WorkerState
from stream.sinks.record_table import ADVICE, ENDS, FIELDS, RECORDS, WORKERS
from tests.sinks.record_effects import (
    ARGUMENTS,
    advised,
    began,
    changed,
    ended,
    late,
    missed,
    moved,
    record,
    resumed,
    revised,
    stalled,
    stuck,
    unstuck,
)

TOLD = {"arguments": ARGUMENTS, "result": "1", "redelivered": True}
"""What an end may tell besides what comes with its state."""

EFFECTS = [
    began(arguments=ARGUMENTS, ordinal=1),
    ended(State.SUCCESS, **TOLD),
    *(ended(state, **TOLD | {"inferred": state in {State.LOST, State.UNKNOWN}}) for state in ENDS),
    revised(),
    stuck(),
    unstuck(),
    *(changed(state) for state in WORKERS),
    stalled(),
    moved(),
    late(),
    missed(),
    resumed(),
    advised(Advice.EVENTS_DISABLED, "w1@box"),
    advised(Advice.SENT_DISABLED, None),
]
"""One for each row, that tells everything it can."""


each_row = pytest.mark.parametrize(
    ("effect", "kind"),
    list(zip(EFFECTS, RECORDS, strict=True)),
    ids=lambda each: getattr(each, "body", ""),
)


def test_every_row_is_made_in_this_order():
    made = [record(effect) for effect in EFFECTS]
    assert [(log.event_name, log.severity) for log in made] == [
        (kind.name, kind.severity) for kind in RECORDS
    ]


@each_row
def test_a_record_tells_what_its_row_says(effect, kind):
    told = [name for name, _ in record(effect, broker="shop").attributes]
    assert len(told) == len(set(told))
    assert set(told) == set(kind.fields)


@each_row
def test_a_record_says_the_sentence_of_its_row(effect, kind):
    subjects = {"", "shop.pay", "w1@box", "payments"}
    assert record(effect).body in {kind.body.replace("{}", each) for each in subjects}


def test_every_field_has_a_meaning_and_every_meaning_a_field():
    told = {name for kind in RECORDS for name in kind.fields}
    assert set(FIELDS) == told
    assert all(FIELDS.values())


def test_records_of_one_name_have_one_severity():
    """Whoever searches by name finds the same gravity."""
    severities = defaultdict(set)
    for kind in RECORDS:
        severities[kind.name].add(kind.severity)
    assert all(len(each) == 1 for each in severities.values())


def test_every_state_of_a_worker_that_is_not_silence_has_a_record():
    assert set(WORKERS) == set(WorkerState) - {WorkerState.SUSPECT}


def test_every_advice_has_a_record():
    assert set(ADVICE) == set(Advice)
