"""``celery-stream deploy``: options to files, to a directory or to stdout."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from ..errors import ConfigError
from .bundle import Kind, Options, bundle
from .output import shown, write
from .rules import Thresholds

S = TypeVar("S", bound=Struct)


def deploy(
    kind: str, directory: str | None, *, force: bool, given: Mapping[str, str | None]
) -> int:
    """Make the files of a kind, and write or show them; return the exit code.

    Args:
        kind: one of `Kind`.
        directory: None: to stdout.
        force: overwrite what is there.
        given: options by name; None takes the default.

    Raises:
        ConfigError: an option has a value that cannot stand in a file.
        StreamError: a file is there already, or cannot be written.
    """
    files = bundle(Kind(kind), options_of(given))
    if directory is None:
        sys.stdout.write(shown(files))
        return 0
    for path in write(files, Path(directory), force=force):
        sys.stdout.write(f"{path}\n")
    return 0


def options_of(given: Mapping[str, str | None]) -> Options:
    """Read options; those that are not given have their default.

    Raises:
        ConfigError: one is no number where it must be, or the like.
    """
    values = {name: value for name, value in given.items() if value is not None}
    thresholds = _read(Thresholds, values)
    return msgspec.structs.replace(_read(Options, values), thresholds=thresholds)


def _read(struct: type[S], values: Mapping[str, str]) -> S:
    read = {}
    for field in msgspec.structs.fields(struct):
        if field.name not in values:  # not asked for, or of the other one
            continue
        try:
            read[field.name] = msgspec.convert(values[field.name], field.type, strict=False)
        except msgspec.ValidationError:
            flag = "--" + field.name.replace("_", "-")
            raise ConfigError(f"{flag} {values[field.name]!a} is no number that fits") from None
    return struct(**read)
