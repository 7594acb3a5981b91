"""What a test needs of the system and a user's machine may lack."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test, for *what* is not here; fail instead where ``STREAM_CI`` says it must be."""
    reason = f"needs {what}"
    if os.environ.get("STREAM_CI"):
        pytest.fail(reason)
    pytest.skip(reason)
