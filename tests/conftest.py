"""Fixtures for all tests; the real servers behind them are in `servers`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.rabbitmq import own_rabbitmq, rabbitmq, rabbitmq_server
from tests.servers import Valkey

# Here and not where they are used: each module that imported them had a server of its own.
__all__ = ["own_rabbitmq", "rabbitmq", "rabbitmq_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long forms of fuzz, drill and soak")


def pytest_configure(config: pytest.Config) -> None:
    # A machine may be busy: how long an example takes says nothing.
    settings.register_profile("usual", deadline=None)
    settings.register_profile("long", max_examples=5_000, deadline=None)
    settings.load_profile("long" if config.getoption("--long") else "usual")


@pytest.fixture
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether the long form of a test is asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A real server of this test's own, on a free port, without persistence."""
    with Valkey(tmp_path / "valkey") as server:
        yield server
