"""How far we have read a stream of RabbitMQ, in a file.

RabbitMQ keeps the position of a stream's reader only in its own stream protocol, not in AMQP. The
file is replaced as a whole, at most once a second while messages come and once at the end; after
a crash the messages of the last second come again, and the engine knows them.
"""

from pathlib import Path
from typing import Final

_SECONDS: Final = 1.0
"""Between two writes, also where the last one failed."""
_MAX_DIGITS = 20


class Position:
    """The offset of the last message that was handed over.

    Args:
        file: where it is kept; its directory must exist.
    """

    def __init__(self, file: Path) -> None:
        self.problem: str | None = None
        """Why the file cannot be written, as the system says; None where it can."""
        self._file = file
        self._offset = self._read()
        self._written = self._offset
        self._written_at = float("-inf")

    @property
    def next(self) -> int | None:
        """The offset to go on with; None where nothing is known."""
        return None if self._offset is None else self._offset + 1

    def forget(self) -> None:
        """The stream is another one.

        The file goes at once: a restart before the next message would ask for an offset that the
        new stream has not reached yet.
        """
        self._offset = self._written = None
        self._written_at = float("-inf")
        try:
            self._file.unlink(missing_ok=True)
        except OSError as exc:
            self.problem = _reason(exc)

    def advance(self, offset: int, at: float) -> None:
        """Note an offset; *at* is any clock's seconds.

        Where the file cannot be written, reading goes on: that costs what is read twice after a
        restart, and to stop would cost what is read.
        """
        self._offset = offset
        if at - self._written_at >= _SECONDS:
            self._written_at = at
            self._write(offset)

    def save(self) -> None:
        """Write what is not written yet, as well as it goes."""
        if self._offset is not None and self._offset != self._written:
            self._write(self._offset)

    def _read(self) -> int | None:
        try:
            text = self._file.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return int(text) if text.isdecimal() and len(text) < _MAX_DIGITS else None

    def _write(self, offset: int) -> None:
        beside = self._file.with_name(f"{self._file.name}.new")
        try:
            beside.write_text(f"{offset}\n", encoding="ascii")
            beside.replace(self._file)
        except OSError as exc:
            self.problem = _reason(exc)
        else:
            self._written, self.problem = offset, None


def _reason(exc: OSError) -> str:
    return exc.strerror or type(exc).__name__
