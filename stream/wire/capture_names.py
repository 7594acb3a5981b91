"""How the files of a capture are called.

A capture is a set of files: ``a.jsonl.zst`` stands for ``a-20261123T020000Z-000001.jsonl.zst`` and
those that follow it. The instant (UTC) is that of the first frame, the number never repeats, so
that the order of the names is the order of time.
"""

import re
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

from msgspec import Struct

DEFAULT: Final = "capture.jsonl.zst"
"""In a directory."""
_SUFFIXES: Final = (".jsonl.zst", ".jsonl.gz", ".jsonl")
_DIGITS: Final = 6


class SetName(Struct, frozen=True):
    """The name of a set: what its files begin and end with."""

    stem: str
    suffix: str
    """``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``, by which it is known how to compress."""

    def part(self, number: int, at: float) -> str:
        """The name of a file whose first frame arrived at *at*, epoch seconds."""
        instant = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{self.stem}-{instant}-{number:0{_DIGITS}d}{self.suffix}"

    def number_of(self, name: str) -> int | None:
        """The number of a file of this set; None of any other file."""
        begin, end = re.escape(self.stem), re.escape(self.suffix)
        found = re.fullmatch(rf"{begin}-\d{{8}}T\d{{6}}Z-(\d{{{_DIGITS},}}){end}", name)
        return None if found is None else int(found[1])


def set_name(path: PurePath) -> SetName | None:
    """Read the last part of a path as the name of a set; None where it does not end like one."""
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return SetName(path.name.removesuffix(suffix), suffix)
    return None
