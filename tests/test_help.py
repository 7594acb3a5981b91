"""The pages that users read: every command in them exists, and so does every setting."""

import re
import shlex
from itertools import groupby
from pathlib import Path

import click
import pytest

from stream.cli import cli, main
from stream.declaration import BY_KEY, RULES
from stream.help import page, topics
from stream.sinks.instruments import TABLE

README = (Path(__file__).parent.parent / "README.md").read_text()
TEXTS = {"README": README, **{topic: page(topic) for topic in topics()}}
PAGES = [
    topic
    for topic in topics()
    if topic not in {"settings", "metrics", "compat", "spans", "records"}
]


def commands(text):
    """The ``celery-stream …`` lines of its shell blocks, and in backquotes."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(celery-stream [^`]+)`", text)
    for line in (*lines, *inline):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        for ends, group in groupby(lexer, lambda word: word in {"&&", "|", ";"}):
            words = [] if ends else list(group)
            names = [word.rpartition("/")[2] for word in words]
            if "celery-stream" in names:
                yield words[names.index("celery-stream") + 1 :]


@pytest.mark.parametrize("text", TEXTS)
def test_every_command_in_it_exists_and_has_these_options(text):
    for words in commands(TEXTS[text]):
        name = next((word for word in words if not word.startswith("-")), None)
        if name is None:
            continue
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, words
        options = [(*option.opts, *option.secondary_opts) for option in command.params]
        known = {"--help"}.union(*options)
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, words


@pytest.mark.parametrize("topic", topics())
def test_a_topic_has_a_title_and_is_shown(topic, capsys):
    assert main(["help", topic]) == 0
    assert capsys.readouterr().out.startswith(f"# {topics()[topic]}\n")


def test_without_a_topic_all_are_listed(capsys):
    assert main(["help"]) == 0
    listed = re.findall(r"^\* `(\w+)`", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(topics())


def test_another_one_is_refused_with_those_there_are(capsys):
    assert main(["help", "nothing"]) == 2
    assert "redis, rabbitmq" in capsys.readouterr().err


@pytest.mark.parametrize("topic", PAGES)
def test_every_setting_it_names_exists(topic):
    groups = "|".join(sorted({key.partition(".")[0] for key in BY_KEY if "." in key}))
    named = re.findall(rf"`((?:{groups})\.[a-z_]+)`", page(topic))
    assert set(named) <= set(BY_KEY)
    assert set(re.findall(r"\[\[(\w+)\]\]", page(topic))) <= {*RULES, "broker"}


@pytest.mark.parametrize("topic", PAGES)
def test_every_metric_it_names_exists(topic):
    known = {each.name.replace(".", "_") for each in TABLE}
    for named in re.findall(r"`((?:celery|stream)_[a-z_]+)`", page(topic)):
        assert any(named.startswith(name) for name in known), named
