"""``python -m stream`` and the ``celery-stream`` command."""

import os
import sys
import threading

from .cli import main as run_command


def main() -> None:
    """Run the command of this process and exit with its code."""
    code = run_command()
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        # A request that hangs holds its thread beyond the grace, and Python would wait for it.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
