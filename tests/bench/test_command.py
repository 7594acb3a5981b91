"""`celery-stream bench`: what it prints, what it writes, and its exit codes."""

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from stream.bench.command import _unread, _unsent
from stream.bench.measure import Measurement
from stream.bench.outlets import Outlet
from stream.bench.receiver import Received
from stream.bench.screen import progress
from stream.bench.synthetic import Synthetic
from stream.bench.traffic import Kind, Traffic
from stream.cli import cli, main
from stream.export.buffer import Ledger
from stream.occurrences import Drop, Signal
from tests.test_cli import run_command
from tests.test_replay import CAPTURE


def test_it_prints_what_was_found():
    done = run_command("bench", "--events", "3000", "--workload", "chains")
    assert done.returncode == 0, done.stderr
    assert "Nothing was lost: 3,000 events." in done.stdout
    assert "a CPU second" in done.stdout
    assert "chains, seed 1" in done.stdout
    assert done.stderr == ""  # no terminal, no bar


def test_it_writes_json_alone_on_stdout(capsys):
    assert main(["bench", "--events", "3000", "--sink", "spans", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["found"]["events"] == 3_000
    assert report["losses"] == []
    assert report["events_per_cpu_second"] > 0
    assert report["found"]["ledgers"]["traces"]["sent"] > 1_000


def test_the_same_workload_has_the_same_hash(capsys):
    hashes = []
    for batch in ("24", "24", "1"):
        main(["bench", "--events", "500", "--sink", "null", "--json", "--batch", batch])
        hashes.append(json.loads(capsys.readouterr().out)["found"]["workload"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_spans_go_to_a_receiver_that_it_starts(capsys):
    assert main(["bench", "--events", "2000", "--sink", "otlp"]) == 0
    assert "traces" in capsys.readouterr().out


def test_a_capture_is_measured(capsys):
    assert main(["bench", str(CAPTURE), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"]["events"] == 279


def test_a_broker_is_published_to_and_the_rates_are_told(valkey, capsys):
    command = ["bench", "--live", valkey.url, "--events", "4000", "--rate", "2000"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "made-up events" in told
    assert "2,000 events/s" in told
    assert "events a second without loss" in told


def test_the_help_says_that_it_publishes():
    told = CliRunner().invoke(cli, ["bench", "--help"]).output
    assert "PUBLISHES made-up events to that broker" in " ".join(told.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["capture.jsonl", "--workload", "chains"],
        ["capture.jsonl", "--live", "redis://localhost"],
        ["--live", "redis://localhost", "--sink", "null"],
        ["--workload", "nothing"],
        ["--events", "0"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments, capsys):
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err


def test_the_command_offers_every_workload_and_every_sink():
    offered = {option.name: option.type for option in cli.commands["bench"].params}
    assert set(offered["workload"].choices) == set(Kind)
    assert set(offered["sink"].choices) == set(Outlet)


def test_what_is_not_accounted_for_is_told():
    found = Measurement(Synthetic(Traffic(), 500), Outlet.NULL).run()
    assert _unread(found, 500) == []
    assert _unread(found, 501) == ["of 501 events 500 were fed, 0 not readable"]

    def ledger(**fields):
        usual = {"accepted": 9, "sent": 9, "rejected": 0, "dropped": {}, "waiting": 0}
        return {Signal.TRACES: Ledger(**{**usual, **fields})}

    received = Received(spans=9)
    assert _unsent(ledger(), None) == []
    assert _unsent(ledger(sent=8, dropped={Drop.OVERFLOW: 1}), None) == ["of 9 traces 8 were sent"]
    both = {**ledger(), Signal.LOGS: Ledger(0, 0, 0, {}, 0)}
    assert _unsent(both, received) == []
    assert _unsent(both, Received(spans=8)) == ["of 9 traces sent 8 were received"]


def test_there_is_a_bar_on_a_terminal_only():
    for terminal in (True, False):
        console = Console(force_terminal=terminal, width=80)
        with console.capture() as captured, progress(console, 100) as advance:
            advance(100)
        assert bool(captured.get()) is terminal
