"""The customers of the demo's shop: a process that sends its tasks until it is ended.

``python -m stream.demo.traffic RATE``, where RATE is orders a second; each is about five tasks.
"""

import itertools
import random
import sys
import time
from typing import Final

from .shop import BULK, EXPRESS, LATER, NORMAL, daily, invoice, place

# A report now and then keeps one of the worker's processes busy and trips the stuck detector.
_REPORT_EVERY: Final = 15.0
_REPORT_SECONDS: Final = 14.0
# A sale now and then: more than the worker can take at once, so that queues are seen to grow.
_SALE_EVERY: Final = 30.0
_SALE_ORDERS: Final = 60
_INVOICE_EVERY_ORDERS: Final = 4
_INVOICE_LINES: Final = 3


def main(rate: float) -> None:
    """Send tasks for ever, *rate* orders a second on average."""
    report_at = time.monotonic()
    sale_at = report_at + _SALE_EVERY / 3
    for number in itertools.count(1):
        now = time.monotonic()
        if now >= report_at:
            daily.apply_async((_REPORT_SECONDS,), priority=LATER)
            report_at = now + _REPORT_EVERY
        if now >= sale_at:
            _sale(number)
            sale_at = now + _SALE_EVERY
        place.apply_async((number,), priority=_customer())
        if number % _INVOICE_EVERY_ORDERS == 0:
            invoice.apply_async((_INVOICE_LINES,), priority=NORMAL)
        # Customers come independently of each other.
        time.sleep(random.expovariate(rate))


def _customer() -> int:
    weights = {EXPRESS: 1, NORMAL: 6, LATER: 2}
    return random.choices(list(weights), list(weights.values()))[0]  # noqa: S311 - play, not cryptography


def _sale(number: int) -> None:
    for extra in range(_SALE_ORDERS):
        priority = BULK if extra % 3 else LATER
        place.apply_async((1_000_000 + number * 100 + extra + 1,), priority=priority)


if __name__ == "__main__":
    main(float(sys.argv[1]))
