"""The class of a failure, from what workers write (forms that occur in captured traffic)."""

import pytest

from stream.core.failure import UNNAMED, cause_of, error_type

WRAPPED = "ExceptionWithTraceback()"
"""What billiard makes of time limits and lost workers."""
HEAD = 'Traceback (most recent call last):\n  File "app.py", line 3, in task\n    work()\n'


@pytest.mark.parametrize(
    ("exception", "name"),
    [
        ("ValueError('boom')", "ValueError"),
        ("SoftTimeLimitExceeded()", "SoftTimeLimitExceeded"),
        ("EncodeError(TypeError('not serializable'))", "EncodeError"),
        ("ValueError('two\\nlines (or more)')", "ValueError"),
        ("ValueError(\n  'two lines')", "ValueError"),
        ("_Private()", "_Private"),
        ("Übelstand('ä')", "Übelstand"),
        ("ExceptionWithTracebackToo()", "ExceptionWithTracebackToo"),
    ],
)
def test_the_class_stands_before_the_parenthesis(exception, name):
    assert error_type(exception, HEAD + "KeyError: 'not this'\n") == name


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("billiard.exceptions.TimeLimitExceeded: TimeLimitExceeded(1,)", "TimeLimitExceeded"),
        ("billiard.exceptions.WorkerLostError: signal 9 (SIGKILL).", "WorkerLostError"),
        ("celery.exceptions.Reject: ('no good', False)", "Reject"),
        ("KeyError", "KeyError"),
        ("ValueError: ", "ValueError"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_wrapped_failure_has_its_class_in_the_traceback(last, name, end):
    assert error_type(WRAPPED, HEAD + last + end) == name


@pytest.mark.parametrize("exception", [None, "", "<Fault 1: 'no'>", "'just a text'", "9Lives()"])
def test_what_names_no_class_leaves_it_to_the_traceback(exception):
    assert error_type(exception, HEAD + "app.Fault: 1\n") == "Fault"


@pytest.mark.parametrize(
    "between",
    [
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    ],
)
def test_of_a_chain_the_last_exception_is_the_one_that_failed_the_task(between):
    traceback = f"{HEAD}KeyError: 'first'\n\n{between}\n\n{HEAD}app.errors.Last: second\n"
    assert error_type(WRAPPED, traceback) == "Last"


def test_a_syntax_error_has_lines_of_source_before_its_class():
    traceback = HEAD + '  File "other.py", line 1\n    a: b c\n         ^\nSyntaxError: bad\n'
    assert error_type(WRAPPED, traceback) == "SyntaxError"


def test_lines_of_a_message_that_are_sentences_or_indented_are_no_class():
    traceback = HEAD + "ValueError: first\nthen a sentence: with a colon\n  Indented: too\n\n"
    assert error_type(WRAPPED, traceback) == "ValueError"


@pytest.mark.parametrize(
    "traceback", [None, "", HEAD, "no traceback at all", "  | ExceptionGroup: m (1 sub-exception)"]
)
def test_nothing_usable_is_a_failure_without_a_name(traceback):
    assert error_type(WRAPPED, traceback) == UNNAMED


def test_a_rejection_describes_itself_in_a_sentence():
    last = "celery.exceptions.Reject: ('no good', False)"
    assert error_type("reject requeue=False: no good", f"{HEAD}{last}\n") == "Reject"


def test_a_retry_without_a_cause_is_called_a_retry():
    """What workers write of ``self.retry()`` outside an except clause, as ``chord_unlock`` does."""
    assert error_type("None", f"{HEAD}celery.exceptions.Retry: Retry in 1.0s\n") == "Retry"


@pytest.mark.parametrize("line", ["line2", "DETAIL: Key (id)=(1) already exists."])
def test_a_line_of_a_message_that_looks_like_a_class_is_none(line):
    assert error_type(WRAPPED, f"{HEAD}ValueError: first\n{line}\n") == "ValueError"


@pytest.mark.parametrize(
    ("exception", "cause"),
    [
        ("Retry(Retry(...), KeyError('never'), 0.2)", "KeyError('never')"),
        ("Retry(Retry(...), OSError(2, 'no, (never)'), None)", "OSError(2, 'no, (never)')"),
        ("Retry(Retry(...), ValueError('two\nlines'), 5)", "ValueError('two\nlines')"),
        (
            "Retry(Retry(...), OSError('a, b'), datetime.datetime(2026, 1, 2, 3, 4))",
            "OSError('a, b')",
        ),
        ("Retry('one word')", "Retry('one word')"),
        ("KeyError('never')", "KeyError('never')"),
        ("RetryError('never', 1, 2)", "RetryError('never', 1, 2)"),
        ("None", "None"),
        (None, None),
    ],
)
def test_a_retry_is_asked_for_because_of_something_else(exception, cause):
    assert cause_of(exception) == cause


@pytest.mark.timeout(30)  # it takes a moment; what is quadratic would take hours
def test_what_is_written_to_be_slow_to_read_is_not():
    odd = f"Retry('{'), ' * 1_000_000}(x"
    assert cause_of(odd) == odd
    assert cause_of(f"{odd})") == f"{odd})"
