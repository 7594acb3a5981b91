import pytest

from stream.sinks.exceptions import MAX_TEXT, message_of, trimmed
from stream.sinks.redaction import Redaction
from tests.sinks.span_effects import ended

NOTHING = Redaction(())


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("ValueError('no funds')", "no funds"),
        ('KeyError("it\'s")', "it's"),
        ("ValueError('it\\'s')", "it's"),
        ("ValueError('a\\nb')", "a\nb"),
        (r"ValueError('C:\\new')", r"C:\new"),
        ("ValueError('x',)", "x"),
        ("ValueError('a', 'b')", "'a', 'b'"),
        ("HTTPError(503, f(1))", "503, f(1)"),
        ("ValueError()", ""),
        ("<Error: no repr>", "<Error: no repr>"),
        ("(odd)", "(odd)"),
        ("Error('cut", "Error('cut"),
        ("", ""),
        (None, None),
    ],
)
def test_the_message_is_what_the_exception_was_called_with(exception, message):
    assert message_of(exception) == message


def test_a_text_that_is_too_long_loses_its_middle():
    text = "begin" + "x" * (10 * MAX_TEXT) + "end"

    kept = trimmed(ended(traceback=text), NOTHING).traceback

    assert len(kept) < MAX_TEXT + 10
    assert (kept[:5], kept[-3:]) == ("begin", "end")


@pytest.mark.parametrize("field", ["exception", "traceback"])
def test_credentials_in_a_url_do_not_leave(field):
    text = "OperationalError('amqp://user:secret@broker/')"

    assert "secret" not in getattr(trimmed(ended(**{field: text}), NOTHING), field)


@pytest.mark.parametrize("texts", [{}, {"exception": "E('no')", "traceback": "tb"}])
def test_what_needs_no_change_is_not_copied(texts):
    effect = ended(**texts)

    assert trimmed(effect, NOTHING) is effect


@pytest.mark.parametrize("field", ["exception", "traceback"])
def test_what_has_the_name_of_a_secret_does_not_leave(field):
    kept = trimmed(ended(**{field: "LoginError(password='s3cret')"}), Redaction(["*password*"]))

    assert "s3cret" not in getattr(kept, field)
