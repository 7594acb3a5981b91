"""Records to a file or standard output: JSON Lines, CSV or Parquet, by the file's suffix."""

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Final, get_args

import msgspec
from msgspec import Struct

from ..errors import RefusedError

STDOUT: Final = "-"
_ROWS: Final = 50_000
"""Of one row group: 20 MB, and what DuckDB and pandas read at a time."""

_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


def check_writable(name: str) -> None:
    """Refuse early, not after an hour of reading; what is there is not touched yet.

    Raises:
        RefusedError: the file cannot be written, or its format needs what is not installed.
    """
    if name == STDOUT:
        return
    if Path(name).is_dir():
        raise RefusedError(f"{name} cannot be written: it is a folder")
    if not Path(name).parent.is_dir():
        raise RefusedError(f"{name} cannot be written: its folder does not exist")
    if Path(name).suffix == ".parquet":
        _pyarrow("pyarrow")


def write(name: str, content: Iterable[bytes]) -> None:
    """Write bytes as they are.

    Raises:
        RefusedError: they cannot be written.
    """
    if name == STDOUT:
        sys.stdout.buffer.writelines(content)
        sys.stdout.buffer.flush()
        return
    with _opened(name) as file:
        file.writelines(content)


def write_records(name: str, lines: Iterable[bytes], *, of: type[Struct]) -> None:
    """Write records in the format that the name asks for.

    Args:
        name: a file, or ``-`` for JSON Lines on standard output.
        lines: one JSON object each.
        of: what they are; its fields are the columns.

    Raises:
        RefusedError: they cannot be written.
    """
    match Path(name).suffix:
        case ".csv":
            _write_csv(name, lines, of=of)
        case ".parquet":
            _write_parquet(name, lines, of=of)
        case _:
            write(name, lines)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file to be written; what fails then, a full disk too, is one sentence."""
    try:
        with Path(name).open("wb") as file:
            yield file
    except OSError as exc:
        raise RefusedError(f"{name} cannot be written: {exc.strerror}") from None


def _write_csv(name: str, lines: Iterable[bytes], *, of: type[Struct]) -> None:
    with _opened(name) as raw, TextIOWrapper(raw, "utf-8", newline="") as file:
        writer = csv.DictWriter(file, of.__struct_fields__, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_decode, lines))


def _write_parquet(name: str, lines: Iterable[bytes], *, of: type[Struct]) -> None:
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    types: dict[object, object] = {
        str: arrow.string(),
        float: arrow.float64(),
        int: arrow.int64(),
        bool: arrow.bool_(),
    }
    schema = arrow.schema(
        [
            (field.name, types.get(_bare(field.type), types[str]))
            for field in msgspec.structs.fields(of)
        ]
    )
    with _opened(name) as file, parquet.ParquetWriter(file, schema) as writer:
        for rows in _groups(map(_decode, lines)):
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def _groups(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while group := list(islice(rows, _ROWS)):
        yield group


def _bare(annotation: object) -> object:
    """Return the type of what may also be None."""
    return next((each for each in get_args(annotation) if each is not type(None)), annotation)


def _pyarrow(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError:
        raise RefusedError(
            "Parquet files need pyarrow: pip install 'celery-stream[analysis]'"
        ) from None
