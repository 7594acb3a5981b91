"""The application that the demo watches: a small shop, as a Celery user would write it.

An order is placed, then runs through a chain (validate, charge, ship); the gateway of the payments
times out now and then, which is retried with back-off, and some cards are declined. Invoices are a
chord. Reports are slow. Broker and result backend come from the variables that Celery reads.
"""

# Celery ships no types.
# mypy: disable-error-code="untyped-decorator"

import random
import time

from celery import Celery, Task, chain, chord

QUEUES = ("orders", "payments", "reports")

EXPRESS, NORMAL, LATER, BULK = 0, 3, 6, 9
"""Priorities; on Redis 0 is the most urgent."""

# Each hundredth: how often the gateway does not answer, and how often a card is declined.
_TIMEOUTS = 0.10
_DECLINED = 0.04
# Every so many orders the gateway never answers, so that retries are seen to run out.
_NEVER_PAID = 40

app = Celery("shop")
app.conf.update(
    task_send_sent_event=True,
    task_inherit_parent_priority=True,
    task_default_priority=NORMAL,
    task_default_queue="orders",
    task_routes={"payments.*": {"queue": "payments"}, "reports.*": {"queue": "reports"}},
    broker_transport_options={"queue_order_strategy": "priority"},
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    result_expires=300,
    # For a beat; the demo runs none.
    beat_schedule={"report": {"task": "reports.daily", "schedule": 30.0, "args": (2.0,)}},
)


class CardDeclined(Exception):  # noqa: N818 - the words of an application
    """The bank said no; asking again would not help."""


class GatewayTimeout(Exception):  # noqa: N818
    """The bank did not answer; asking again may help."""


def _chance(probability: float) -> bool:
    return random.random() < probability  # noqa: S311 - play, not cryptography


def _work(least: float, most: float) -> None:
    time.sleep(random.uniform(least, most))  # noqa: S311 - what the task does; no secret


@app.task(name="orders.place")
def place(number: int) -> int:
    """Take an order and send it on its way."""
    _work(0.01, 0.04)
    chain(validate.s(number), charge.s(), ship.s()).apply_async()
    return number


@app.task(name="orders.validate")
def validate(number: int) -> int:
    """Check stock and address."""
    _work(0.02, 0.08)
    return number


@app.task(
    name="payments.charge",
    bind=True,
    autoretry_for=(GatewayTimeout,),
    retry_backoff=1,
    retry_backoff_max=5,
    max_retries=2,
)
def charge(self: Task, number: int) -> int:
    """Charge the card of an order."""
    _work(0.05, 0.25)
    if number % _NEVER_PAID == 0 or _chance(_TIMEOUTS):
        raise GatewayTimeout(f"no answer for order {number}, attempt {self.request.retries + 1}")
    if _chance(_DECLINED):
        raise CardDeclined(f"order {number}: insufficient funds")
    return number


@app.task(name="orders.ship")
def ship(number: int) -> str:
    """Print the label."""
    _work(0.03, 0.12)
    return f"parcel-{number}"


@app.task(name="payments.invoice")
def invoice(lines: int) -> None:
    """Price the lines of an invoice side by side, then add them up."""
    chord([price.s(line) for line in range(lines)], add_up.s()).apply_async()


@app.task(name="payments.price")
def price(line: int) -> int:
    """Price one line."""
    _work(0.02, 0.06)
    return 100 + line


@app.task(name="payments.add_up")
def add_up(prices: list[int]) -> int:
    """Add up an invoice."""
    return sum(prices)


@app.task(name="reports.daily")
def daily(seconds: float) -> None:
    """Take far longer than anybody expected."""
    time.sleep(seconds)  # what it does
