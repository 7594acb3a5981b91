"""Whatever happens in whatever order: what a page shows agrees with itself."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.page.drawing import drawn
from tests.properties.strategies import interleavings, stories


@given(st.lists(stories(), max_size=4), st.data())
@settings(max_examples=60)
def test_a_page_agrees_with_itself(families, data):
    lanes = [lane for family in families for lane in family]
    content = drawn(*data.draw(interleavings(lanes)), until=60.0)
    drawing = content.drawing
    uuids = {event.uuid for lane in lanes for event in lane}
    # Of so few tasks each is in exactly one trace.
    kept = [member.uuid for trace in drawing.traces for member in trace.members]
    assert sorted(kept) == sorted(uuids)
    # All runs have a bar, within the period, and no two bars of a row overlap.
    assert len(drawing.lanes.bars) == drawing.lanes.runs
    ends = {}
    for bar in drawing.lanes.bars:
        assert 0.0 <= bar.begin <= bar.end <= 60.0
        assert ends.get((bar.lane, bar.row), 0.0) <= bar.begin
        ends[bar.lane, bar.row] = bar.end
    # Every series has a value for each interval.
    series = drawing.timelines
    lists = [series.sent, series.running, *(each.values for each in series.ended)]
    assert {len(each) for each in lists} == {series.intervals}
