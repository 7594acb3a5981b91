"""``python -m stream`` and the ``celery-stream`` command."""

import os
import sys
import threading
from pathlib import Path

from .cli import main as run_command


def main() -> None:
    """Run the command of this process and exit with its code."""
    _open_what_is_closed()
    code = run_command()
    if threading.active_count() > 1:
        # A request that hangs, or a stdout that nobody reads, holds its thread beyond the grace,
        # and Python would wait for it. Everything that was to be written has been flushed.
        os._exit(code)
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Give the process the standard streams that it was started without, as in ``run >&-``.

    Python has None for such a one, and the system would give its number to the next thing that is
    opened: a library that writes to the number would write into a socket.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
