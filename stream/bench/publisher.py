"""Publishes messages on Redis at a steady rate."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import redis

SLICES: Final = 50
"""A second is published in so many parts."""


class Pace(NamedTuple):
    """How publishing went."""

    seconds: float
    """From the first message to the last."""
    messages: int

    def kept(self, rate: float) -> bool:
        """Whether so many messages a second were reached, but for a twentieth."""
        due = self.messages / rate
        return self.seconds <= due * 1.05 + 1 / SLICES


def publish(client: "redis.Redis", messages: Sequence[tuple[bytes, bytes]], *, rate: float) -> Pace:
    """Publish channels and payloads, *rate* messages a second, in slices of a fiftieth of one."""
    began = time.monotonic()
    per_slice = max(1, round(rate / SLICES))
    slice_seconds = per_slice / rate
    for number, start in enumerate(range(0, len(messages), per_slice), 1):
        pipe = client.pipeline(transaction=False)
        for channel, payload in messages[start : start + per_slice]:
            pipe.publish(channel, payload)
        pipe.execute()
        time.sleep(max(0.0, began + number * slice_seconds - time.monotonic()))  # the pace
    return Pace(time.monotonic() - began, len(messages))
