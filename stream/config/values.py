"""What a value may be: its type, its bounds, and how they are put to a person."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

# Above any sensible value and far below where adding it to an epoch instant loses precision;
# it also refuses infinity.
_MOST_SECONDS = 1e9
_MOST_ITEMS = 100_000_000
_PORT = r"([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# As far as can be told without asking anybody, what a request can be sent to. A label of a name has
# 1 to 63 characters; surrogates stand for bytes of the environment that are no UTF-8.
_LABEL = r"[^\s/?#:@\[\].%*\ud800-\udfff]{1,63}"
_HOST = rf"(\[[0-9a-fA-F:.]+(%[^\s\]/?#@]+)?\]|{_LABEL}(\.{_LABEL})*\.?)"
_HTTP_URL = rf"^https?://([^\s/?#]*@)?{_HOST}(:{_PORT})?([/?#][^\x00-\x1f\x7f\ud800-\udfff]*)?\Z"
_HTTP_URL_PHRASE = "an http:// or https:// URL with a host and, if any, a port up to 65535"
_HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"
_HEADER_VALUE = r"^(?![ \t])[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*\Z"

Seconds: TypeAlias = Annotated[
    float, Meta(gt=0, le=_MOST_SECONDS, extra={"phrase": "a number of seconds above 0"})
]
SecondsOrOff: TypeAlias = Annotated[
    float, Meta(ge=0, le=_MOST_SECONDS, extra={"phrase": "a number of seconds, 0 for off"})
]
OptionalLimit: TypeAlias = Annotated[
    SecondsOrOff | None, Meta(extra={"phrase": "a number of seconds, 0 for off"})
]
OptionalSeconds: TypeAlias = Annotated[
    Seconds | None, Meta(extra={"phrase": "a number of seconds above 0"})
]
OptionalCompression: TypeAlias = Annotated[
    Literal["gzip", "none"] | None, Meta(extra={"phrase": "gzip or none"})
]
Count: TypeAlias = Annotated[
    int, Meta(ge=1, le=_MOST_ITEMS, extra={"phrase": "a whole number above 0"})
]
Bytes: TypeAlias = Annotated[
    int, Meta(ge=1, le=2**62, extra={"phrase": "a number of bytes above 0"})
]
HostPort: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+):{_PORT}$",
        extra={"phrase": "HOST:PORT with a port up to 65535"},
    ),
]
OptionalUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=_HTTP_URL)] | None, Meta(extra={"phrase": _HTTP_URL_PHRASE})
]
OptionalTraceUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+\S*\{trace_id\}\S*$")] | None,
    Meta(extra={"phrase": "an http:// or https:// URL with {trace_id} in it"}),
]
_BROKER_URL = r"(rediss?|unix|redis\+socket|sentinel|amqps?|pyamqp)://\S*"
BROKER_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_NAMED_URL = rf"({BROKER_NAME}=)?{_BROKER_URL}"
_URL_PHRASE = (
    "a redis://, rediss://, redis+socket://, unix://, sentinel://, amqp:// or amqps:// URL"
)
# Shown nowhere, not even when they are wrong: they may hold a password in any position.
BrokerUrl: TypeAlias = Annotated[
    str, Meta(pattern=rf"^{_BROKER_URL}$", extra={"phrase": _URL_PHRASE, "secret": True})
]
# White space is in no URL, so it cannot be taken for the ; between the servers of one broker;
# beside such a ; it is a slip.
BrokerUrls: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_NAMED_URL}((?<!;)\s+{_NAMED_URL})*$",
        extra={"phrase": _URL_PHRASE, "secret": True, "repeated": True},
    ),
]
BrokerName: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=rf"^{BROKER_NAME}$")] | None,
    Meta(extra={"phrase": "a name of letters, digits, and . _ -"}),
]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1, extra={"phrase": "a number from 0 to 1"})]
Compats: TypeAlias = Annotated[
    tuple[Literal["celery-exporter", "flower"], ...],
    Meta(extra={"phrase": "celery-exporter, flower or both"}),
]
Names: TypeAlias = Annotated[tuple[str, ...], Meta(extra={"phrase": "a list of names"})]
ManagementUrl: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=_HTTP_URL)] | None,
    Meta(extra={"phrase": _HTTP_URL_PHRASE, "secret": True}),
]
# Both are sent as one header: no line may end within.
BasicCredentials: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^[^:\x00-\x1f]+:[^\x00-\x1f]+$")] | None,
    Meta(extra={"phrase": "USER:PASSWORD", "secret": True}),
]
Token: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=r"^[!-~]+$")] | None,
    Meta(extra={"phrase": "a text of printable ASCII characters without spaces", "secret": True}),
]
Pairs: TypeAlias = Annotated[
    dict[str, str], Meta(extra={"phrase": "a table of texts (key=value,key=value)"})
]
# Sentinel's password is among them.
Options: TypeAlias = Annotated[
    dict[str, object], Meta(extra={"phrase": "a table (as JSON)", "json": True, "secret": True})
]
# Headers of a request: they carry tokens.
SecretPairs: TypeAlias = Annotated[
    dict[
        Annotated[str, Meta(pattern=_HEADER_NAME)],
        Annotated[str, Meta(pattern=_HEADER_VALUE)],
    ],
    Meta(
        extra={
            "phrase": "a table of header names and of values without control characters "
            "(name=value,name=value)",
            "secret": True,
        }
    ),
]
