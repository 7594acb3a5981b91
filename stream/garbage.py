"""How seldom Python's garbage collector looks at what is there, while events are read.

What the hot path makes and keeps can form no cycles, and says so (``gc=False``); yet each look
walks all that is imported, 40 ms of work.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 20_000
"""Objects that may be in a cycle before the collector looks at those; Python's own 700. To look
less often takes 1 to 2 % off."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Take what is there now for what stays, and collect the rest seldom, until it is left."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
