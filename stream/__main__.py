"""``python -m stream`` and the ``celery-stream`` command."""

import os
import sys
import threading

from .cli import main as run_command


def main() -> None:
    """Run the command of this process and exit with its code."""
    code = run_command()
    if threading.active_count() > 1:
        # A request that hangs, or a stdout that nobody reads, holds its thread beyond the grace,
        # and Python would wait for it. Everything that was to be written has been flushed.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
