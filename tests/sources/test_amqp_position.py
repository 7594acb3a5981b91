import pytest

from stream.sources.amqp_position import Position


@pytest.fixture
def file(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "main.offset"


def test_what_was_written_is_read_by_the_next_process(file):
    Position(file).advance(41, at=0.0)
    assert Position(file).next == 42


def test_between_two_writes_a_second_passes_and_the_end_is_written(file):
    position = Position(file)
    for offset, at in ((1, 0.0), (2, 0.9)):
        position.advance(offset, at)
    assert Position(file).next == 2
    position.save()
    assert Position(file).next == 3


def test_what_is_forgotten_is_not_there_after_a_restart(file):
    position = Position(file)
    position.advance(41, at=0.0)
    position.forget()
    assert (position.next, Position(file).next) == (None, None)
    position.save()
    assert Position(file).next is None


def test_the_same_offset_of_another_stream_is_written_at_once(file):
    position = Position(file)
    position.advance(41, at=0.0)
    position.forget()
    position.advance(41, at=0.1)
    assert Position(file).next == 42


def test_a_file_that_cannot_be_written_is_tried_again_and_the_offset_known_meanwhile(file):
    file.parent.rmdir()
    position = Position(file)
    position.advance(5, at=0.0)
    assert position.next == 6
    assert position.problem == "No such file or directory"
    file.parent.mkdir()
    position.advance(6, at=0.9)
    assert Position(file).next is None
    position.advance(7, at=1.0)
    assert (position.problem, Position(file).next) == (None, 8)


def test_a_file_that_cannot_be_removed_is_told(file):
    position = Position(file)
    file.mkdir()
    position.forget()
    assert position.problem is not None
