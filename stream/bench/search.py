"""The highest rate that is held, found in few tries: doubled until it fails, then halved between.

Pure: it is told how each try went, and says what to try next.
"""

from typing import Final

_CLOSE: Final = 1.1
"""A rate that fails this little above one that holds is close enough: tries vary as much."""


class Search:
    """A search.

    Args:
        first: rate to try first.
        most: rate that is not exceeded.
        tries: how many there are at most.
    """

    def __init__(self, first: float, *, most: float, tries: int) -> None:
        self._most = most
        self._left = tries
        self._next = min(first, most)
        self.held = 0.0
        """The highest rate that was held so far."""
        self.failed: float | None = None
        """The lowest rate that was not; None: none failed."""

    @property
    def following(self) -> float | None:
        """The rate to try next; None: the search is over."""
        if self._left <= 0 or self.held >= self._most:
            return None
        if self.failed is not None and self.failed <= self.held * _CLOSE:
            return None
        return self._next

    def tell(self, *, held: bool) -> None:
        """The try of `following` held, or did not."""
        rate = self._next
        self._left -= 1
        if held:
            self.held = max(self.held, rate)
        else:
            self.failed = rate if self.failed is None else min(self.failed, rate)
        if self.failed is None:
            self._next = min(rate * 2, self._most)
        else:
            self._next = (self.held + self.failed) / 2
