"""A monitor as Celery's documentation builds one: an event receiver that feeds a State."""

import sys

from celery import Celery


def main(url: str, expected: int) -> None:
    """Take in *expected* events, and say so."""
    app = Celery(broker=url)
    state = app.events.State()
    seen = 0

    def take(event: dict[str, object]) -> None:
        nonlocal seen
        state.event(event)
        seen += 1
        if seen == expected:
            print("done", flush=True)

    with app.connection() as connection:
        app.events.Receiver(connection, handlers={"*": take}).capture(wakeup=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
