"""A monitor as Celery's documentation builds one: an event receiver that feeds a State.

Run by path in an environment that has Celery and nothing of ours: ``baseline.py URL``. Prints how
many events of tasks it had when it is ended.
"""

import signal
import sys

from celery import Celery


def main(url: str) -> None:
    """Take events in until SIGTERM."""
    app = Celery(broker=url)
    state = app.events.State()
    seen = 0

    def take(event: dict[str, object]) -> None:
        nonlocal seen
        state.event(event)
        seen += str(event["type"]).startswith("task-")

    def end(*_: object) -> None:
        print(seen, flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    with app.connection() as connection:
        app.events.Receiver(connection, handlers={"*": take}).capture(wakeup=False)


if __name__ == "__main__":
    main(sys.argv[1])
