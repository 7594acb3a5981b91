"""Where a signal is sent to: URL, headers, certificates, compression, from the settings."""

from typing import Any

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


class _Chosen(Struct, frozen=True):
    """The settings of one signal: its own where it has some, else those of all."""

    wanted: bool
    url: str | None
    headers: dict[str, str]
    timeout: float
    compression: str
    certificate: str | None
    client_certificate: str | None
    client_key: str | None


def target_for(settings: OtlpSettings, signal: Signal) -> Target | None:
    """Return where *signal* goes; None where it is turned off or has no endpoint."""
    chosen = _choose(settings, signal)
    base = settings.endpoint
    url = chosen.url or (f"{base.rstrip('/')}/v1/{signal}" if base else None)
    if settings.disabled or not chosen.wanted or url is None:
        return None
    return Target(
        signal=signal,
        url=url,
        headers=chosen.headers,
        gzip=chosen.compression == "gzip",
        timeout=chosen.timeout,
        certificate=chosen.certificate,
        client_certificate=_client_certificate(chosen),
    )


def _choose(settings: OtlpSettings, signal: Signal) -> _Chosen:
    def own(name: str) -> Any:  # noqa: ANN401 - of the type that the setting has
        return getattr(settings, f"{signal}_{name}")

    return _Chosen(
        wanted=getattr(settings, signal),
        url=own("endpoint"),
        headers=own("headers") or settings.headers,
        timeout=own("timeout") or settings.timeout,
        compression=own("compression") or settings.compression,
        certificate=own("certificate") or settings.certificate,
        client_certificate=own("client_certificate") or settings.client_certificate,
        client_key=own("client_key") or settings.client_key,
    )


def _client_certificate(chosen: _Chosen) -> str | tuple[str, str] | None:
    if chosen.client_certificate is None or chosen.client_key is None:
        return chosen.client_certificate
    return (chosen.client_certificate, chosen.client_key)
