"""What a person sees."""

import io

from rich.console import Console

from stream.doctor.diagnosis import (
    Checkup,
    Step,
    broken,
    diagnosis_of,
    ok,
    unknown,
)
from stream.doctor.screen import show

LONG = "ACL SETUSER watcher " + " ".join(f"+command{number}" for number in range(30))


def shown(*findings, fix=None):
    checkup = Checkup("broker main", "redis://h:6379/0", findings, fix)
    file = io.StringIO()
    show(
        diagnosis_of([checkup], version="1", listened=7.0),
        Console(file=file, width=80, color_system=None),
    )
    return [line.rstrip() for line in file.getvalue().splitlines()]


def missing(name, advice="Grant it."):
    return broken(Step.PERMISSION, "so nothing", advice, about=name, fix=f"grant {name}")


def test_each_verdict_has_its_mark():
    lines = shown(
        ok(Step.REACHABLE, "it answers"),
        broken(Step.EXPORT, "HTTP 404", "Correct it."),
        unknown(Step.EVENTS, "none", "Start one."),
    )
    assert lines == [
        "broker main  redis://h:6379/0",
        " ✓ reachable      it answers",
        " ✗ export         HTTP 404",
        "                  → Correct it.",
        " ? events         none",
        "                  → Start one.",
        "",
        "1 broken, 1 to look at.",
    ]


def test_where_nothing_is_wrong_that_is_said():
    assert shown(ok(Step.REACHABLE, "it answers"))[-1] == "All is well."


def test_a_line_to_copy_is_never_broken():
    assert any(line.strip() == LONG for line in shown(missing("+x"), missing("+y"), fix=LONG))


def test_the_same_advice_is_given_once_and_one_line_stands_for_all():
    text = "\n".join(shown(missing("+x"), missing("+y"), fix="grant +x +y"))
    assert text.count("Grant it.") == 1
    assert "grant +x\n" not in text
    assert text.count("grant +x +y") == 1


def test_a_single_one_has_its_own_line():
    assert "                  grant +x" in shown(missing("+x"))


def test_many_alike_are_shortened():
    lines = shown(*(ok(Step.QUEUE, "0 waiting", about=f"q{each}") for each in range(40)))
    assert sum(" ✓ queue" in line for line in lines) == 15
    assert any("and 25 more" in line for line in lines)
