"""From the answers to test exports to findings. Pure."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus

from msgspec import Struct

from ..export.post import Later, Outcome, Refused, Taken, TooLarge
from ..occurrences import Signal
from .diagnosis import Finding, Step, broken, ok, unknown


class Posted(Struct, frozen=True):
    """One test export, and what became of it."""

    signal: Signal
    url: str
    """Without user, password and secrets."""
    outcome: Outcome


def judge_export(posted: Sequence[Posted], *, disabled: bool) -> Iterator[Finding]:
    """Tell of each signal whether the receiver took it.

    Args:
        posted: one for each signal that is sent somewhere.
        disabled: whether sending is turned off.
    """
    if not posted:
        says = "it is turned off" if disabled else "no endpoint is set, so nothing is sent"
        advice = "Set OTEL_EXPORTER_OTLP_ENDPOINT, unless /metrics and /health are enough."
        yield unknown(Step.EXPORT, says, advice)
    for each in posted:
        yield _judge(each)


def _judge(posted: Posted) -> Finding:
    about = posted.signal.value
    match posted.outcome:
        case Taken():
            return ok(Step.EXPORT, f"taken by {posted.url}", about=about)
        case Later(reason=reason, status=None):
            says = f"{posted.url} cannot be reached: {reason}"
            advice = (
                "Start the receiver, or correct the endpoint: OTLP over HTTP is mostly on port "
                "4318, and TLS needs https://."
            )
            return broken(Step.REACHABLE, says, advice, about=about)
        case Later(reason=reason, status=status):
            says = f"{posted.url} answers {reason}"
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                return unknown(Step.EXPORT, says, "Send less, or raise its limit.", about=about)
            advice = "Look at the receiver, and at the proxy before it."
            return broken(Step.EXPORT, says, advice, about=about)
        case Refused(reason=reason, status=status):
            return _refused(posted, reason, status)
        case TooLarge(reason=reason):
            says = f"{posted.url} answers {reason} to some 50 bytes"
            return broken(Step.EXPORT, says, "Raise its limit of a request's size.", about=about)


def _refused(posted: Posted, reason: str, status: int | None) -> Finding:
    about, signal = posted.signal.value, posted.signal
    says = f"{posted.url} answers {reason}" if status else f"{posted.url}: {reason}"
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            advice = "Correct the token in otlp.headers (OTEL_EXPORTER_OTLP_HEADERS)."
            return broken(Step.AUTHENTICATED, says, advice, about=about)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            advice = (
                f"Correct the path: /v1/{signal} is appended to otlp.endpoint; a full URL goes "
                f"into otlp.{signal}_endpoint."
            )
        case int() if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            advice = "Give the URL that it redirects to: a redirected request loses its content."
        case None:
            advice = "Correct the URL, the headers or the certificate files of the endpoint."
        case _:
            advice = "See whether it takes OTLP over HTTP as protobuf."
    return broken(Step.EXPORT, says, advice, about=about)
