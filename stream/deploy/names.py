"""Our metrics in PromQL: an instrument's name as the store has it, and whose series.

A store that scrapes the page has the usual translation (`celery_task_failed_total`), and so has one
that translates what comes over OTLP (Prometheus and Grafana's stores by default). Others keep the
names as they are sent (`celery.task.failed`), which older parsers take only as a matcher. No query
uses a label that would be translated too.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from ..server.prometheus import name_of
from ..sinks.instruments import Instrument, Type


class Names(StrEnum):
    """How the store calls them."""

    PROMETHEUS = "prometheus"
    """Translated: underscores, units, ``_total``."""
    OTLP = "otlp"
    """As they are sent."""


class Series(Struct, frozen=True):
    """Writes selectors; every one has the same matchers first."""

    names: Names
    common: str = ""
    """Matchers of each selector, such as ``job=~"$job"``."""

    def __call__(self, instrument: Instrument, matchers: str = "", *, part: str = "") -> str:
        """Select the series of an instrument.

        Args:
            instrument: any of the table.
            matchers: further ones, as in PromQL.
            part: of a histogram: ``bucket``, ``sum`` or ``count``.

        >>> Series(Names.PROMETHEUS)(TASK_FAILED, 'queue="mail"')
        'celery_task_failed_total{queue="mail"}'
        """
        name = self._name(instrument) + (f"_{part}" if part else "")
        if self.names is Names.OTLP:
            matchers = ",".join(filter(None, (f'__name__="{name}"', self.common, matchers)))
            return f"{{{matchers}}}"
        matchers = ",".join(filter(None, (self.common, matchers)))
        return f"{name}{{{matchers}}}" if matchers else name

    def _name(self, instrument: Instrument) -> str:
        if self.names is Names.OTLP:
            return instrument.name
        return name_of(instrument) + ("_total" if instrument.type is Type.COUNTER else "")

    def quantile(
        self,
        share: float,
        instrument: Instrument,
        *,
        by: str = "",
        matchers: str = "",
        window: str = "$__rate_interval",
    ) -> str:
        """Write a quantile of a histogram, by some labels or over all."""
        labels = f"le, {by}" if by else "le"
        buckets = self(instrument, matchers, part="bucket")
        return f"histogram_quantile({share}, sum by ({labels}) (rate({buckets}[{window}])))"

    def rate(
        self,
        instrument: Instrument,
        *,
        by: str = "",
        matchers: str = "",
        window: str = "$__rate_interval",
    ) -> str:
        """Write the rate of a counter, summed by some labels or over all.

        Over all it is 0 where nothing has been counted yet, by labels it has no series then.
        """
        rate = f"rate({self(instrument, matchers)}[{window}])"
        return f"sum by ({by}) ({rate})" if by else f"(sum({rate}) or vector(0))"


ENDS: Final = 'state=~"SUCCESS|FAILURE|LOST"'
"""Ends of tasks that were to run: to be revoked or rejected is neither a success nor a failure."""
BAD_ENDS: Final = 'state=~"FAILURE|LOST"'
