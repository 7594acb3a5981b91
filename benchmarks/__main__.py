"""Run benchmarks: ``python -m benchmarks [NAME …] [--events N] [--seed S] [--json FILE]``."""

import argparse
from pathlib import Path

import msgspec

from . import capture_to_null, redis_to_null, redis_to_otlp
from .result import Result, table

BENCHMARKS = {
    "capture_to_null": capture_to_null.run,
    "redis_to_null": redis_to_null.run,
    "redis_to_otlp": redis_to_otlp.run,
}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    results: list[Result] = []
    for name in arguments.names or BENCHMARKS:
        for batch in (24, 1):
            found = BENCHMARKS[name](arguments.events, seed=arguments.seed, batch=batch)
            print(table(found), flush=True)
            results += found
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


if __name__ == "__main__":
    main()
