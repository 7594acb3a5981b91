"""The page's own files: read once, served with an ETag, from a closed set of names.

They are written by hand and installed as they are: nothing builds them, and nothing is fetched from
anywhere else.
"""

from hashlib import blake2b
from importlib.resources import files
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(Struct, frozen=True):
    """One file."""

    body: bytes
    content_type: str
    etag: str


def load() -> dict[str, Asset]:
    """Read all files, by name."""
    found = {}
    for each in files(__package__).joinpath("assets").iterdir():
        content_type = _TYPES.get(each.name.rpartition(".")[2])
        if content_type is not None:
            body = each.read_bytes()
            etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
            found[each.name] = Asset(body, content_type, etag)
    return found


def answer(asset: Asset, request: Request) -> Response:
    """Serve a file, or say that the browser has it."""
    # Asked for each time, and nearly always not sent: an upgrade must not leave half of it old.
    headers = {"etag": asset.etag, "cache-control": "no-cache"}
    asked = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if asset.etag in asked:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers={**headers, "content-type": asset.content_type})
