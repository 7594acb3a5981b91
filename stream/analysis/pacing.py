"""How long to wait so that a replay goes as fast as is wanted."""


class Pacing:
    """Delays frames by their arrival times.

    Args:
        speed: how many times as fast as it was recorded; None: as fast as can be.
    """

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first_at: float | None = None
        self._began_at = 0.0

    def delay(self, received_at: float, now: float) -> float:
        """Return the seconds to wait before handing on what arrived then.

        Args:
            received_at: on the clock of the capture.
            now: on any clock that goes on steadily.
        """
        if self._speed is None:
            return 0.0
        if self._first_at is None:
            self._first_at, self._began_at = received_at, now
        due = self._began_at + (received_at - self._first_at) / self._speed
        return max(0.0, due - now)
