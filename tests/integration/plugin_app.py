"""The application of the tests with the plugin, for workers and producers.

With ``PLUGIN_FAILS`` in the environment everything that the plugin computes raises.
"""

import os

from celery import Celery

from stream import plugin
from tests.app_under_test import make_app


def make_linked_app(url: str | None = None) -> Celery:
    """`make_app`, with the one line that the plugin needs, and tasks that tell their headers."""
    made = make_app(url)
    plugin.install(made)
    made.task(name="t.outer", bind=True)(outer)
    return made


def outer(self, headers):
    """Publish a task with headers of its own, and return its id."""
    return str(self.app.tasks["t.ok"].apply_async(headers=headers).id)


def fail_always(*_args):
    raise ZeroDivisionError("the plugin is broken")


if os.environ.get("PLUGIN_FAILS"):
    plugin._links_of = fail_always

app = make_linked_app()
