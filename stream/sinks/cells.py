"""What a look-up made, remembered by the key at hand: bounded, and harmless to forget."""

from collections.abc import Callable
from typing import TypeVar

MAX_CELLS = 10_000
"""As many as an instrument has series by default; a sink has ten such memories."""

K = TypeVar("K")
V = TypeVar("V")


class Cells(dict[K, V]):
    """Remembers what *make* returned for a key, for at most *limit* keys; then forgets them all.

    ``cells[key]`` costs one dictionary look-up when the key is known. Forgetting is harmless:
    *make* finds the same cell again. *forgetting* is called before, to save what is only here.
    """

    def __init__(
        self,
        make: Callable[[K], V],
        limit: int = MAX_CELLS,
        *,
        forgetting: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._make = make
        self._limit = limit
        self._forgetting = forgetting

    def __missing__(self, key: K) -> V:
        if len(self) >= self._limit:
            self._forgetting()
            self.clear()
        made = self[key] = self._make(key)
        return made
