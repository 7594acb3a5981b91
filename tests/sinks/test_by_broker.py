"""Several brokers on one page: each series says whose it is, and no instrument is there twice."""

from prometheus_client.parser import text_string_to_metric_families

from stream.server.prometheus import page
from stream.sinks import instruments as table
from stream.sinks.aggregate import Aggregate, Family, Number
from stream.sinks.by_broker import BROKER, merged, of_broker


def counted(*values):
    """An aggregate in which a queue each was seen."""
    aggregate = Aggregate(started_at=5.0)
    for value in values:
        aggregate.counter(table.EVENTS_DECODED).add(value)
        aggregate.histogram(table.POLL_DURATION).record(0.01, "redis")
    return aggregate.collect()


def by_name(families):
    return {family.instrument.name: family for family in families}


def labels_of(family):
    return [point.labels for point in family.points]


def test_series_of_brokers_have_its_name_last():
    found = by_name(merged((), {"shop": counted(3), "mail": counted(4)}))
    decoded = found["stream.events.decoded"]
    assert decoded.instrument.attributes == (BROKER,)
    assert [(point.labels, point.value) for point in decoded.points] == [
        (("shop",), 3),
        (("mail",), 4),
    ]
    assert labels_of(found["stream.queues.poll.duration"]) == [("redis", "shop"), ("redis", "mail")]


def test_what_concerns_the_process_stays_as_it_is():
    common = Family(table.EXPORT_SENT, (Number(("logs",), 1),), 5.0)
    (*_, last) = merged((common,), {"shop": counted(1)})
    assert last is common


def test_what_concerns_both_is_one_family_in_which_the_process_has_no_broker():
    overflow = Family(table.LABELS_OVERFLOW, (Number(("stream.x",), 1),), 5.0)
    found = merged((overflow,), {"shop": (overflow,)})
    assert [labels_of(family) for family in found] == [[("stream.x", "shop"), ("stream.x", "")]]


def test_without_names_nothing_changes():
    families = counted(3)
    assert merged(families, {}) == families


def test_the_instrument_is_the_same_each_time():
    assert of_broker(table.EVENT_AGE) is of_broker(table.EVENT_AGE)


def test_a_scraper_reads_the_names():
    written = page(merged((), {"shop": counted(3), "m\ud800": counted(4)})).body.decode()
    families = {each.name: each for each in text_string_to_metric_families(written)}
    samples = families["stream_events_decoded"].samples
    assert {each.labels["broker"]: each.value for each in samples} == {"shop": 3, "m?": 4}
