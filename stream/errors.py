"""What can go wrong, by what to do about it.

::

    StreamError
    ├── ConfigError      a setting is wrong: say which and where it came from, exit 2
    ├── LostError        the other side went away: it may come back, try again with backoff
    └── RefusedError     the other side said no (credentials, address): exit 1
        └── ForbiddenError   it knows us, and a permission is missing

Foreign exceptions are translated where they enter. Each message is one sentence for a person,
free of credentials.
"""


class StreamError(Exception):
    """Base of all that this package raises on purpose."""


class ConfigError(StreamError):
    """A setting has a value that cannot work."""


class LostError(StreamError):
    """A connection was lost or could not be made; trying again may help."""


class RefusedError(StreamError):
    """The request will not succeed however often it is repeated."""


class ForbiddenError(RefusedError):
    """The other side knows who we are; what we asked for needs a permission that we lack."""
