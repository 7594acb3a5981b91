"""Who is asked when: each worker at most once a minute, and nobody else for it."""

from hypothesis import given
from hypothesis import strategies as st

from stream.sources.control import AGAIN, Asked, Due, Rounds
from stream.wire.control import MAX_NAMES

W1, W2 = Asked("w1@h", 1, mute=False), Asked("w2@h", 2, mute=False)


def both():
    return Rounds(enable=True, inspect=90.0)


def test_a_new_worker_is_due_at_once():
    rounds = both()
    assert rounds.due([W1], 0.0) == Due(["w1@h"], ["w1@h"])
    assert rounds.due([W1, W2], 1.0) == Due(["w2@h"], ["w2@h"])


def test_nobody_is_asked_who_need_not_be():
    rounds = Rounds(enable=False, inspect=0.0)
    assert rounds.due([W1, W2._replace(mute=True)], 0.0) == Due([], [])


def test_a_worker_that_was_told_is_told_again_only_while_it_sends_nothing():
    rounds = Rounds(enable=True, inspect=0.0)
    rounds.due([W1, W2], 0.0)
    assert rounds.due([W1._replace(mute=True), W2], AGAIN - 1).enable == []
    assert rounds.due([W1._replace(mute=True), W2], AGAIN).enable == ["w1@h"]


def test_a_worker_that_was_restarted_is_asked_anew_after_a_minute():
    rounds = both()
    rounds.due([W1], 0.0)
    restarted = W1._replace(pid=9)
    assert rounds.due([restarted], AGAIN - 1) == Due([], [])
    assert rounds.due([restarted], AGAIN) == Due(["w1@h"], ["w1@h"])


def test_inspections_come_at_their_interval():
    rounds = both()
    rounds.due([W1], 0.0)
    assert rounds.due([W1], 89.0).inspect == []
    assert rounds.due([W1], 90.0).inspect == ["w1@h"]


def test_too_many_for_one_request_take_turns():
    rounds = both()
    crowd = [Asked(f"w{number}@h", 1, mute=False) for number in range(MAX_NAMES + 3)]
    assert len(rounds.due(crowd, 0.0).inspect) == MAX_NAMES
    assert len(rounds.due(crowd, 1.0).inspect) == 3


looks = st.lists(
    st.tuples(
        st.floats(0.1, 50),
        st.lists(st.builds(Asked, st.sampled_from("abc"), st.integers(1, 2), st.booleans())),
    ),
    max_size=30,
)


@given(looks)
def test_whatever_comes_and_goes_nobody_is_asked_twice_within_a_minute(looks):
    rounds, now = both(), 0.0
    last = {"enable": {}, "inspect": {}}
    for passed, workers in looks:
        now += passed
        for what, names in rounds.due(workers, now)._asdict().items():
            assert len(set(names)) == len(names)
            for name in names:
                assert now - last[what].get(name, -AGAIN) >= AGAIN
                last[what][name] = now
