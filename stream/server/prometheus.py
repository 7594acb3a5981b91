"""Collected families as the page that Prometheus scrapes, in the format that it asks for.

Names are OpenTelemetry's in the usual translation: dots become underscores, units and ``_total``
become suffixes. Pure: a page is made of families and nothing else, on any thread.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from prometheus_client.exposition import choose_encoder

from ..sinks.aggregate import Family
from .exposition import name_of, openmetrics, text

__all__ = ("Page", "name_of", "page")

# All our names are valid without escaping, so none is used, whatever the scraper would accept.
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class Page(Struct, frozen=True):
    """What a scrape is answered with."""

    body: bytes
    content_type: str


def page(families: Iterable[Family], accept: str = "") -> Page:
    """Write a page in the format that the scraper asks for.

    Args:
        families: as collected; no instrument twice.
        accept: the request's ``Accept`` header. OpenMetrics only where it is asked for; what
            cannot be understood gets the plain text format.
    """
    if _asks_for_openmetrics(accept):
        return Page(openmetrics(families), _OPENMETRICS)
    return Page(text(families), _TEXT)


def _asks_for_openmetrics(accept: str) -> bool:
    try:
        _, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is no version
        return False
    return content_type.startswith("application/openmetrics-text")
