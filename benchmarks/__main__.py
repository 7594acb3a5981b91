"""``python -m benchmarks``: run benchmarks, measure the bar, compare results, write the README's.

::

    python -m benchmarks run [NAME …]          stages beside each other, in turns
    python -m benchmarks bar [ROW …] [--quick] every row of the bar, curves and plot; writes JSON
    python -m benchmarks compare A.json B.json what has changed
    python -m benchmarks readme FILE.json      the table for the README
    python -m benchmarks plot FILE.json        the plot beside it
"""

import argparse
import sys
import time
from pathlib import Path

from msgspec import structs

from stream.errors import StreamError

from . import (
    capture_to_null,
    capture_to_report,
    encode_spans,
    in_flight,
    rabbitmq_to_metrics,
    recorder,
    redis_to_metrics,
)
from .curves import curves
from .machine import machine
from .plot import plot
from .readme import readme, verdicts, write
from .result import Results, comparison, load, save, table
from .rows import ROWS, flat
from .turns import Plan

BENCHMARKS = {
    "capture_to_null": capture_to_null.run,
    "redis_to_metrics": redis_to_metrics.run,
    "rabbitmq_to_metrics": rabbitmq_to_metrics.run,
    "capture_to_report": capture_to_report.run,
    "in_flight": in_flight.run,
    "encode_spans": encode_spans.run,
    "recorder": recorder.run,
}
RESULTS = Path(__file__).parent / "results"
QUICK = Plan(events=20_000, peer_events=4_000, rounds=1)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("run", help="stages beside each other, in turns")
    command.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    _add_plan(command)
    command.add_argument("--batch", type=int, action="append", help="[24 and 1]")
    command.add_argument("--json", type=Path, metavar="FILE")
    command.set_defaults(do=_run)
    command = commands.add_parser("bar", help="every row of the bar; writes JSON and plot")
    command.add_argument("names", nargs="*", metavar="ROW", help=", ".join(ROWS))
    _add_plan(command)
    command.add_argument("--json", type=Path, metavar="FILE", default=RESULTS / "bar.json")
    command.set_defaults(do=_bar)
    command = commands.add_parser("flat", help="memory over many events, 10**8 unless told")
    command.add_argument("--events", type=int, default=100_000_000)
    command.set_defaults(do=_flat)
    command = commands.add_parser("compare", help="what has changed between two files")
    command.add_argument("before", type=Path)
    command.add_argument("after", type=Path)
    command.set_defaults(do=lambda given: print(comparison(load(given.before), load(given.after))))
    command = commands.add_parser("readme", help="the table for the README")
    command.add_argument("file", type=Path)
    command.add_argument("--write", type=Path, metavar="README", help="put it between its marks")
    command.set_defaults(do=_readme)
    command = commands.add_parser("plot", help="the plot, beside the file")
    command.add_argument("file", type=Path)
    command.set_defaults(do=lambda given: plot(load(given.file), given.file.with_suffix(".svg")))
    arguments = parser.parse_args()
    arguments.do(arguments)


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument("--events", type=int)
    command.add_argument("--seed", type=int)
    command.add_argument("--rounds", type=int, help="[5]")
    command.add_argument("--quick", action="store_true", help="little of everything, in a minute")
    command.add_argument("--no-peers", dest="peers", action="store_false")


def _plan(arguments: argparse.Namespace) -> Plan:
    given = {
        name: value
        for name in ("events", "seed", "rounds")
        if (value := getattr(arguments, name)) is not None
    }
    usual = QUICK if arguments.quick else Plan()
    return structs.replace(usual, peers=arguments.peers, **given)


def _chosen(names: list[str], known: dict[str, object]) -> list[str]:
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no {', '.join(unknown)}; there are {', '.join(known)}.")
    return names or list(known)


def _run(arguments: argparse.Namespace) -> None:
    plan, found = _plan(arguments), Results(machine())
    for name in _chosen(arguments.names, dict(BENCHMARKS)):
        for batch in arguments.batch or (24, 1):
            results = BENCHMARKS[name](structs.replace(plan, batch=batch))
            print(table(results), flush=True)
            found = structs.replace(found, results=(*found.results, *results))
    if arguments.json:
        save(arguments.json, found)


def _bar(arguments: argparse.Namespace) -> None:
    """Measure row by row; what is there is written after each."""
    plan, found, began = _plan(arguments), Results(machine()), time.monotonic()
    for name in _chosen(arguments.names, dict(ROWS)):
        try:
            results, rows = ROWS[name](plan, list(found.results))
        except (LookupError, RuntimeError, StreamError) as error:
            print(f"{name}: not measured: {error}", flush=True)
            continue
        found = structs.replace(
            found, results=(*found.results, *results), rows=(*found.rows, *rows)
        )
        save(arguments.json, found)
        print("\n".join(filter(None, (table(results), verdicts(rows)))), flush=True)
    if not arguments.names:
        found = structs.replace(found, curves=curves(plan))
        save(arguments.json, found)
        plot(found, arguments.json.with_suffix(".svg"))
    print(f"\n{readme(found)}\n\n{time.monotonic() - began:.0f} s, written to {arguments.json}")


def _readme(arguments: argparse.Namespace) -> None:
    found = load(arguments.file)
    if arguments.write:
        write(found, arguments.write)
    else:
        print(readme(found))


def _flat(arguments: argparse.Namespace) -> None:
    print(verdicts(flat(Plan(), [], events=arguments.events)[1]))


if __name__ == "__main__":
    main()
