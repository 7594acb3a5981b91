"""One POST to an OTLP/HTTP receiver, and what its answer means.

Never raises for anything that a receiver or the network does. Blocks: call it in a thread.

The SDK's exporters are not used because they decide too much: they try again on their own,
follow redirects, take any status below 400 for a success and never read a partial success.
"""

import email.utils
import time
from base64 import b64encode
from http import HTTPStatus
from typing import TypeAlias

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.utils import get_auth_from_url

from ..occurrences import Signal
from .target import Target

# opentelemetry.io/docs/specs/otlp, "Retryable Response Codes".
_TRANSIENT = {429, 502, 503, 504}
_MOST_BODY_BYTES = 65_536
"""Of an answer that is read: a partial success is a few bytes."""
_MOST_RETRY_AFTER = 3600.0
"""An absurd Retry-After must not end delivery for good."""


class Taken(Struct, frozen=True, gc=False):
    """The receiver took the request."""

    rejected: int
    """Items in it that it refused; sending them again is forbidden."""


class Later(Struct, frozen=True, gc=False):
    """It may work if sent again."""

    reason: str
    after: float = 0.0
    """Seconds that the receiver asked to wait; 0 where it did not say."""
    status: int | None = None
    """Of its answer; None where there was none."""


class TooLarge(Struct, frozen=True, gc=False):
    """A smaller request may work."""

    reason: str


class Refused(Struct, frozen=True, gc=False):
    """It will never work."""

    reason: str
    status: int | None = None
    """Of its answer; None where nobody was asked."""


Outcome: TypeAlias = Taken | Later | TooLarge | Refused


class Poster:
    """Keeps the connection to one target. One call at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = requests.Session()
        self._headers = target.request_headers()
        # Without an auth of its own, requests lets ~/.netrc overwrite the Authorization header.
        self._session.auth = _keep_headers

    def post(self, body: bytes, *, timeout: float) -> Outcome:
        """Send one compressed body; *timeout* in seconds."""
        try:
            with self._session.post(
                self._target.url,
                data=body,
                headers=self._headers,
                timeout=timeout,
                # Here and not on the session, where REQUESTS_CA_BUNDLE would win.
                verify=self._target.certificate or True,
                cert=self._target.client_certificate,
                allow_redirects=False,  # a redirected POST becomes a GET and loses the batch
                stream=True,
            ) as response:
                return _classify(response, self._target.signal)
        except requests.Timeout:
            return Later(f"no answer within {timeout:g} s")
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as exc:
            return Later(_root_cause(exc))
        except (requests.RequestException, ValueError) as exc:  # the latter from http.client
            # Nobody refused anything: what waits is kept until the settings are corrected.
            # Not the text of the exception: it can have the URL or a header in it.
            return Later(f"the request cannot be made ({type(exc).__name__})")
        except OSError:
            return Later("a certificate file cannot be read")

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def _classify(response: requests.Response, signal: Signal) -> Outcome:
    status = response.status_code
    body = _read(response)  # of any answer: its connection is of no use again before
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Taken(_rejected(body, signal) if _is_protobuf(response) else 0)
    reason = _phrase(status)
    if status in _TRANSIENT:
        return Later(reason, _retry_after(response.headers.get("Retry-After")), status)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(reason)
    return Refused(reason, status)


def _read(response: requests.Response) -> bytes:
    """Read a body to its end; nothing where it is longer than one is, or breaks off."""
    body = b""
    try:
        for part in response.iter_content(_MOST_BODY_BYTES):
            body += part
            if len(body) > _MOST_BODY_BYTES:
                return b""
    except requests.RequestException:
        return b""  # the status has said what became of the request
    return body


def _is_protobuf(response: requests.Response) -> bool:
    content_type = response.headers.get("Content-Type", "")
    return content_type.lower().startswith("application/x-protobuf")


def _rejected(body: bytes, signal: Signal) -> int:
    """Read the number of rejected items; 0 where the answer has none or cannot be read."""
    try:
        return max(_rejected_in(body, signal), 0)
    except DecodeError:
        return 0  # the status said that it was taken


def _rejected_in(body: bytes, signal: Signal) -> int:
    match signal:
        case Signal.TRACES:
            traces = ExportTraceServiceResponse()
            traces.ParseFromString(body)
            return traces.partial_success.rejected_spans
        case Signal.LOGS:
            logs = ExportLogsServiceResponse()
            logs.ParseFromString(body)
            return logs.partial_success.rejected_log_records
        case Signal.METRICS:
            metrics = ExportMetricsServiceResponse()
            metrics.ParseFromString(body)
            return metrics.partial_success.rejected_data_points


def _retry_after(value: str | None) -> float:
    """Read a Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MOST_RETRY_AFTER)
    try:
        seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MOST_RETRY_AFTER)


def _phrase(status: int) -> str:
    """Name a status in our own words: the receiver's could repeat a header of ours."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _root_cause(exc: BaseException) -> str:
    """Say what the system said, without the URL that requests and urllib3 put around it."""
    seen: set[int] = set()
    cause: BaseException | None = exc
    found = "the connection was lost"
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.strerror:
            found = cause.strerror
        reason = getattr(cause, "reason", None)  # urllib3.MaxRetryError
        nested = [arg for arg in (reason, *cause.args) if isinstance(arg, BaseException)]
        cause = cause.__cause__ or cause.__context__ or (nested[0] if nested else None)
    return found[:200]


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add user and password of the URL, which requests does not where a session has an auth."""
    user, password = get_auth_from_url(request.url or "")
    if (user or password) and "Authorization" not in request.headers:
        # UTF-8, as RFC 7617 recommends; requests itself fails on what is not Latin-1.
        credentials = b64encode(f"{user}:{password}".encode()).decode()
        request.headers["Authorization"] = f"Basic {credentials}"
    return request
