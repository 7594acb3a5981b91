"""Where a signal is sent to: URL, headers, certificates, compression, from the settings."""

from msgspec import Struct

from .. import __version__
from ..config import OtlpSettings
from ..occurrences import Signal


class Target(Struct, frozen=True):
    """The receiver of one signal. Its ``repr`` has no values: they can be credentials."""

    signal: Signal
    url: str
    headers: dict[str, str]
    gzip: bool
    timeout: float
    """Seconds for connecting, and for the answer."""
    certificate: str | None = None
    """File with the authorities to trust; None trusts the usual ones."""
    client_certificate: str | tuple[str, str] | None = None
    """File with our certificate, or with the key in a file of its own."""

    def __repr__(self) -> str:
        return f"Target({self.signal}, headers={sorted(self.headers)})"

    def request_headers(self) -> dict[str, str | bytes]:
        """Return all headers of a request; what the user set wins over ours."""
        headers: dict[str, str | bytes] = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"celery-stream/{__version__}",
        }
        if self.gzip:
            headers["Content-Encoding"] = "gzip"
        # bytes: http.client would raise for a text value that is not Latin-1.
        headers.update({name: value.encode() for name, value in self.headers.items()})
        return headers


def target_for(settings: OtlpSettings, signal: Signal) -> Target | None:
    """Return where *signal* goes; None where it is turned off or has no endpoint."""
    wanted, own, headers = {
        Signal.TRACES: (settings.traces, settings.traces_endpoint, settings.traces_headers),
        Signal.METRICS: (settings.metrics, settings.metrics_endpoint, settings.metrics_headers),
        Signal.LOGS: (settings.logs, settings.logs_endpoint, settings.logs_headers),
    }[signal]
    base = settings.endpoint
    url = own or (f"{base.rstrip('/')}/v1/{signal}" if base else None)
    if settings.disabled or not wanted or url is None:
        return None
    return Target(
        signal=signal,
        url=url,
        headers=headers or settings.headers,
        gzip=settings.compression == "gzip",
        timeout=settings.timeout,
        certificate=settings.certificate,
        client_certificate=_client_certificate(settings),
    )


def _client_certificate(settings: OtlpSettings) -> str | tuple[str, str] | None:
    if settings.client_certificate is None or settings.client_key is None:
        return settings.client_certificate
    return (settings.client_certificate, settings.client_key)
