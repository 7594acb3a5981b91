"""The JSON Schemas of what `replay` and `diff` write, from the structs that write it.

What a field means is said beside it in the code, in the docstring that follows it, and is taken
from there.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Struct

from ..core import record
from ..core.record import TaskRecord, WorkerRecord
from . import attempts, bounded, compare, report, sketch
from .attempts import AttemptRecord
from .compare import Comparison
from .report import Report

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MODULES: Final = (report, bounded, sketch, compare, attempts, record)
OUTPUTS: Final[dict[str, type[Struct]]] = {
    "report": Report,
    "tasks": TaskRecord,
    "attempts": AttemptRecord,
    "workers": WorkerRecord,
    "diff": Comparison,
}
"""What is written: one of it, or one on each line."""


def schema(output: str) -> dict[str, object]:
    """Return the JSON Schema of one of `OUTPUTS`."""
    found = msgspec.json.schema(OUTPUTS[output])
    meanings = _meanings()
    for name, definition in found["$defs"].items():
        for field, shape in definition.get("properties", {}).items():
            if (meaning := meanings.get((name, field))) is not None:
                shape["description"] = meaning
    return {"$schema": _DIALECT, **found}


def encode_schema(output: str) -> bytes:
    """Return it as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schema(output)), indent=1) + b"\n"


def _meanings() -> dict[tuple[str, str], str]:
    """Read what the fields mean: (class, field) → docstring; nothing where there is no source."""
    found: dict[tuple[str, str], str] = {}
    for module in _MODULES:
        try:
            tree = ast.parse(inspect.getsource(module))
        except OSError:
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found |= {(node.name, field): text for field, text in _documented(node)}
    return found


def _documented(of: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the fields of a class that have a docstring, on one line."""
    for field, text in pairwise(of.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(meaning))
            ):
                yield name, " ".join(meaning.replace("``", "").split())
            case _:
                pass
