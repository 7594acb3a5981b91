"""What a byte stream raises when it ends or breaks, and the reason in a few words."""

import ssl

import anyio

CLOSED = (
    OSError,  # also TimeoutError and ssl.SSLError
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


def why(exc: Exception) -> str:
    """One reason without line breaks; what an ``OSError`` says holds no credentials."""
    match exc:
        case TimeoutError():
            return "no answer in time"
        case anyio.EndOfStream():
            return "the server closed the connection"
        case ssl.SSLError():
            return f"the TLS handshake failed ({exc.reason})"
        case OSError(strerror=str(text)):
            return text
        case _:
            # anyio's, around the one that says why.
            cause = exc.__cause__ or exc
            return getattr(cause, "strerror", None) or str(cause) or type(exc).__name__
