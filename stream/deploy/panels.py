"""The parts of a Grafana dashboard, and how they are laid out and written.

A panel says what is asked and how it is shown; where it stands and what number it has follow from
the order. Written for Grafana 10 and newer; the data source is a variable of the dashboard.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

_COLUMNS: Final = 24
_SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4; newer ones migrate it."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Look(StrEnum):
    """How a panel shows what it asks."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


class Query(Struct, frozen=True):
    """One query of a panel."""

    expr: str
    legend: str = ""
    """Of each series, with ``{{label}}``; in a table the head of the column."""
    unit: str | None = None
    """Of a table's column where it is not the panel's."""


class Panel(Struct, frozen=True):
    """One panel."""

    title: str
    description: str
    """What it shows, and what it means when it is bad."""
    unit: str
    """Grafana's name of it."""
    queries: tuple[Query, ...]
    look: Look = Look.LINES
    width: int = 8
    height: int = 8
    bad: tuple[tuple[str, float | None], ...] = ()
    """Colours and from which value on; None is the base."""
    stacked: bool = False
    exemplars: bool = False
    least: float | None = 0.0
    """Where the axis begins; None: as the data have it."""
    most: float | None = None
    """Where it ends, likewise."""


class Row(Struct, frozen=True):
    """A head, and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


class Variable(Struct, frozen=True):
    """What a reader chooses; all by default."""

    name: str
    label: str
    query: str


class Dashboard(Struct, frozen=True):
    """A dashboard before it is written."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]


def stat(title: str, description: str, unit: str, expr: str, **look: Any) -> Panel:  # noqa: ANN401 - the panel's own fields
    """Make a panel of one number."""
    return Panel(
        title,
        description,
        unit,
        (Query(expr),),
        look=Look.NUMBER,
        **{"width": 4, "height": 4, **look},
    )


def written(dashboard: Dashboard) -> dict[str, Any]:
    """Write a dashboard as Grafana imports it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["celery", "celery-stream"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all: what happened at the same time
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [_LINKS],
        "annotations": {"list": [_FIRING]},
        "templating": {"list": [_DATASOURCE, *map(_variable, dashboard.variables)]},
        "panels": _laid_out(dashboard.rows),
    }


_LINKS: Final = {
    "type": "dashboards",
    "title": "celery-stream",
    "tags": ["celery-stream"],
    "asDropdown": True,
    "keepTime": True,
    "includeVars": True,
}
_FIRING: Final = {
    "name": "Alerts",
    "datasource": _SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Celery.*",alertstate="firing"}',
    "titleFormat": "{{alertname}}",
    "step": "30s",
}
_DATASOURCE: Final = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "current": {},
    "hide": 0,
}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": variable.query, "refId": "variable"},
        "definition": variable.query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",  # also those that have no such label
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
    }


def _laid_out(rows: Iterable[Row]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
        head = {"id": len(panels) + 1, "type": "row", "title": row.title, "gridPos": place}
        panels.append(head | {"collapsed": False, "panels": []})
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            panels.append(_panel(panel) | {"id": len(panels) + 1, "gridPos": place})
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return panels


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.look.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "targets": [_target(panel, number, query) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _OPTIONS[panel.look],
        "transformations": _joined(panel.queries) if panel.look is Look.TABLE else [],
    }


def _target(panel: Panel, number: int, query: Query) -> dict[str, Any]:
    target = {
        "refId": _ref(number),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
    }
    if panel.look is Look.TABLE:
        return target | {"format": "table", "instant": True, "range": False}
    return target | {"range": True, "exemplar": panel.exemplars}


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for color, value in panel.bad]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps or [{"color": "blue", "value": None}]},
    }
    ends = {"min": panel.least, "max": panel.most}
    defaults |= {name: value for name, value in ends.items() if value is not None}
    if panel.look is Look.LINES:
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if steps else "off"},
        }
    return defaults


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.look is not Look.TABLE:
        return []
    return [
        {
            "matcher": {"id": "byName", "options": query.legend},
            "properties": [{"id": "unit", "value": query.unit or panel.unit}],
        }
        for query in panel.queries
    ]


_LEGEND: Final = {"displayMode": "table", "placement": "bottom", "calcs": ["max", "lastNotNull"]}
_OPTIONS: Final[dict[Look, dict[str, Any]]] = {
    Look.LINES: {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    Look.NUMBER: {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    Look.TABLE: {"showHeader": True, "cellHeight": "sm"},
}


def _joined(queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Make one row of what each query says of the same thing."""
    columns = {f"Value #{_ref(number)}": query.legend for number, query in enumerate(queries)}
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": {"Time": True}, "renameByName": columns},
        },
    ]


def _ref(number: int) -> str:
    return chr(ord("A") + number)
