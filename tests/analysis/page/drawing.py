"""What a page shows of some events."""

from stream.analysis.page.draw import Draw
from stream.analysis.scope import Filters, Scope
from stream.core.engine import Engine
from tests.analysis.watching import Watching
from tests.builders import T0

LATER = (1, 200, 5_000, 200_000, 400_000)


def drawn(*events, until=10.0, **filters):
    """Draw the events as they are drawn after a report was made of them."""
    report = Watching(**filters).feed(*events).report(until=until)
    scope = Scope(Filters(**filters))
    draw, engine = Draw(report, scope), Engine(records=True)
    for event in events:
        draw.accept(engine.feed([event], event.timestamp))
    for seconds in LATER:
        draw.accept(engine.tick(T0 + until + seconds))
    return draw.content()
