"""Fixtures for all tests; the real servers behind them are in `servers`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Valkey


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A real server of this test's own, on a free port, without persistence."""
    with Valkey(tmp_path / "valkey") as server:
        yield server
