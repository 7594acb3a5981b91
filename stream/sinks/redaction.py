"""What must not leave: passwords in the texts that applications write."""

import re
from typing import Final

_USERINFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@'\"]*:[^\s/'\"]*@")
"""User and password of a URL. A password may hold an unescaped @, so up to the last one."""


def without_credentials(text: str) -> str:
    """Take the user and password out of the URLs in *text*: errors of connections quote them."""
    return _USERINFO.sub(r"\1***@", text) if "://" in text else text
