"""Whose metrics a scrape asks for."""

import pytest

from stream.server.compat import NotKnownError, asked
from stream.sinks.compat_table import Compat

BOTH = frozenset(Compat)
NOBODY = frozenset()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], NOBODY),
        (["flower"], {Compat.FLOWER}),
        (["celery-exporter,flower"], BOTH),
        (["celery-exporter", "flower"], BOTH),
        ([" flower , "], {Compat.FLOWER}),
    ],
)
def test_one_or_both_are_asked_for(values, wanted):
    assert asked(values, NOBODY) == wanted


def test_where_the_settings_have_others_ours_are_asked_for_by_none():
    assert asked([], BOTH) == BOTH
    assert asked([""], BOTH) == BOTH
    assert asked(["none"], BOTH) == NOBODY
    assert asked(["flower"], frozenset({Compat.CELERY_EXPORTER})) == {Compat.FLOWER}


def test_who_is_not_known_is_told_who_is():
    with pytest.raises(NotKnownError, match="celery-exporter and flower are, and none for our own"):
        asked(["leek"], NOBODY)
