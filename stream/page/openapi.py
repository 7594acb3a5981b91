"""The OpenAPI document of the JSON that the page is made of, from the classes themselves.

What a field means is in the text under it, which Python does not keep: it is read from the source,
where there is one.
"""

import ast
import inspect
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from .. import __version__
from . import answers
from .query import TASK_PARAMETERS, Parameter

_TEMPLATE: Final = "#/components/schemas/{name}"
_ABOUT: Final = (
    "What celery-stream knows of a Celery cluster, read from its memory: no broker and no worker "
    "is asked. Read-only. Instants are epoch seconds on the service's clock, durations seconds, "
    "rates per second; null means that it is not known."
)
_EVENTS_ABOUT: Final = (
    "Server-sent events `overview`, `queues`, `workers`, `periodic`, `failures` and `stuck`, each "
    "with the JSON of the path of that name (`overview` without its series): all of them at first, "
    "then those that changed, at most once a second."
)


class Endpoint(Struct, frozen=True):
    """One path, and what is answered there."""

    path: str
    summary: str
    answer: type[Struct]
    parameters: tuple[Parameter, ...] = ()
    in_path: str | None = None
    """Name of the parameter that is part of the path."""


ENDPOINTS: Final = (
    Endpoint("/api/overview", "The whole cluster, and its last minutes", answers.Overview),
    Endpoint(
        "/api/tasks",
        "Tasks in flight, and those that ended lately",
        answers.Tasks,
        TASK_PARAMETERS,
    ),
    Endpoint("/api/tasks/{uuid}", "One task's whole story", answers.TaskDetail, in_path="uuid"),
    Endpoint("/api/queues", "Queues", answers.Queues),
    Endpoint("/api/workers", "Worker processes", answers.Workers),
    Endpoint("/api/periodic", "Tasks that are sent at fixed intervals", answers.PeriodicTasks),
    Endpoint("/api/failures", "Failures and retries, grouped", answers.Failures),
    Endpoint("/api/stuck", "Tasks that are over the limit of their phase", answers.StuckTasks),
)


def document() -> dict[str, object]:
    """Make the document."""
    types = [endpoint.answer for endpoint in ENDPOINTS] + [answers.Problem]
    _, schemas = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    paths: dict[str, object] = {each.path: {"get": _operation(each)} for each in ENDPOINTS}
    paths["/api/events"] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "celery-stream", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": _described(schemas),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        # Neither is asked for unless the settings have one.
        "security": [{}, {"basic": []}, {"bearer": []}],
    }


def _operation(endpoint: Endpoint) -> dict[str, object]:
    responses = {"200": _json("What was asked for", endpoint.answer)}
    parameters = [_parameter(each) for each in endpoint.parameters]
    if endpoint.parameters:
        responses["400"] = _json("A parameter has no meaning", answers.Problem)
    if endpoint.in_path is not None:
        responses["404"] = _json("It is not known, or not any more", answers.Problem)
        parameters.append(
            {
                "name": endpoint.in_path,
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
            }
        )
    return {
        "operationId": endpoint.path.removeprefix("/api/").partition("{")[0].strip("/")
        + ("_one" if endpoint.in_path else ""),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses,
    }


def _events() -> dict[str, object]:
    stream = {"description": _EVENTS_ABOUT, "content": {"text/event-stream": {}}}
    return {
        "operationId": "events",
        "summary": "What changes, as it changes",
        "parameters": [],
        "responses": {"200": stream, "503": _json("Too many listen already", answers.Problem)},
    }


def _parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": parameter.schema,
    }


def _json(about: str, answer: type[Struct]) -> dict[str, object]:
    schema = {"$ref": _TEMPLATE.format(name=answer.__name__)}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _described(schemas: Mapping[str, dict[str, object]]) -> dict[str, object]:
    """Add to each field what it means."""
    meanings = _meanings()
    for name, schema in schemas.items():
        fields = schema.get("properties")
        for field, about in meanings.get(name, {}).items():
            if isinstance(fields, dict) and field in fields:
                fields[field] = {**fields[field], "description": about}
    return dict(schemas)


def _meanings() -> dict[str, dict[str, str]]:
    """Read the text under each field of each class of the answers."""
    try:
        tree = ast.parse(inspect.getsource(answers))
    except OSError:  # installed without sources
        return {}
    return {
        each.name: dict(_texts_under_fields(each))
        for each in tree.body
        if isinstance(each, ast.ClassDef)
    }


def _texts_under_fields(of: ast.ClassDef) -> list[tuple[str, str]]:
    return [
        (field.target.id, inspect.cleandoc(text.value.value))
        for field, text in zip(of.body, of.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
