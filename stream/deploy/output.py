"""Files to a directory or to a terminal."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import StreamError
from .bundle import File


def write(files: Sequence[File], directory: Path, *, force: bool) -> list[Path]:
    """Write files, all or none; return their paths.

    Raises:
        StreamError: one of them is there already and *force* is not set, or the disk refuses.
    """
    paths = [directory / file.path for file in files]
    there = [path for path in paths if path.exists()]
    if there and not force:
        names = ", ".join(map(str, there))
        raise StreamError(f"{names} would be overwritten; choose another directory or --force")
    try:
        for file, path in zip(files, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
    except OSError as exc:
        raise StreamError(f"{exc.filename} cannot be written: {exc.strerror}") from None
    return paths


def shown(files: Sequence[File]) -> str:
    """Show files as one text: of several that are YAML, one stream of documents.

    Examples are named only, so that ``| kubectl apply -f -`` does what one means.
    """
    whole = [file for file in files if not file.example]
    yaml = all(file.path.endswith((".yaml", ".yml")) for file in whole)
    parts = [f"{_head(file, yaml=yaml) if len(whole) > 1 else ''}{file.text}" for file in whole]
    if examples := ", ".join(file.path for file in files if file.example):
        parts.append(f"# With -o DIR there are also: {examples}\n")
    return "".join(parts)


def _head(file: File, *, yaml: bool) -> str:
    return f"---\n# {file.path}\n" if yaml else f"==> {file.path} <==\n"
