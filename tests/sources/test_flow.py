"""When messages are left to gather."""

from stream.sources.flow import GATHERING, Flow


def quick(flow, *, rate, begin=0.0, seconds=2.0):
    """Read 20 times a second for a while; return the last answer."""
    answer, at = False, begin
    while at < begin + seconds:
        at += 0.05
        answer = flow.is_quick(int(rate * 0.05), at)
    return answer


def test_where_few_come_each_is_read_at_once():
    assert not quick(Flow(0.0), rate=100)


def test_where_many_come_they_may_gather():
    assert quick(Flow(0.0), rate=5_000)


def test_a_burst_alone_does_not_count():
    flow = Flow(0.0)
    assert not flow.is_quick(100, 0.001)
    assert not flow.is_quick(1, 10.0)


def test_once_fewer_come_each_is_read_at_once_again():
    flow = Flow(0.0)
    assert quick(flow, rate=5_000)
    assert not quick(flow, rate=100, begin=2.0)


def test_gathering_itself_does_not_hide_how_many_come():
    flow, at = Flow(0.0), 0.0
    for _ in range(100):
        at += GATHERING
        answer = flow.is_quick(int(1_000 * GATHERING), at)
    assert answer
