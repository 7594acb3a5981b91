"""What a scrape asks for: our own metrics, or those of celery-exporter or flower.

``/metrics?compat=celery-exporter,flower``; ``compat=none`` asks for ours where the settings have
others as the usual ones.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

from ..sinks.compat_table import Compat

Asked: TypeAlias = frozenset[Compat]
"""Whose metrics; none: ours."""

_OURS: Final = "none"


class NotKnownError(ValueError):
    """A scrape asks for somebody's metrics whom we do not know."""


def asked(values: Iterable[str], usual: Asked) -> Asked:
    """Read the values of ``compat`` in a query.

    Args:
        values: as given, each may be several with commas.
        usual: what is meant where there are none.

    Raises:
        NotKnownError: one of them is nobody.
    """
    names = {name for value in values for part in value.split(",") if (name := part.strip())}
    if not names:
        return usual
    if unknown := names - {_OURS, *Compat}:
        known = " and ".join(Compat)
        raise NotKnownError(
            f"compat={min(unknown)!a} is not known; {known} are, and {_OURS} for our own"
        )
    return frozenset(Compat(name) for name in names if name != _OURS)
