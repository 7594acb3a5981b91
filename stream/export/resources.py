"""The resources that the observed tasks and workers are reported under.

One `Resource` object for each worker node: encoders group by its identity.
"""

import functools
import uuid

from ..config import OtlpSettings
from .records import Resource, Value

_NODES = 1024
"""Node names that are remembered; beyond it a resource is built again, which is only slower."""

# RFC 9562, section 6.6: a namespace of our own, so that nobody else's UUIDv5 of a node collides.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:celery-stream:node")


class Resources:
    """Hands out the resource of a worker node. Safe to call from any thread."""

    def __init__(self, settings: OtlpSettings) -> None:
        """Take service name and common attributes from *settings*."""
        self._common: dict[str, str] = {
            **settings.resource_attributes,
            "service.name": settings.service_name or _service_name(settings),
        }
        self._of_node = functools.lru_cache(maxsize=_NODES)(self._build)

    def of(self, hostname: str | None) -> Resource:
        """Return the resource of a Celery node (``name@host``); None is the service as a whole."""
        return self._of_node(hostname)

    def _build(self, hostname: str | None) -> Resource:
        attributes: dict[str, Value] = {**self._common}
        if hostname is not None:
            _, _, host = hostname.rpartition("@")
            clean = hostname.encode("utf-8", "replace").decode()
            # Set and not added: OTLP forbids a key twice, and the settings may have these too.
            attributes["service.instance.id"] = str(uuid.uuid5(_NAMESPACE, clean))
            attributes["host.name"] = host
        return Resource(tuple(attributes.items()))


def _service_name(settings: OtlpSettings) -> str:
    return settings.resource_attributes.get("service.name", "celery")
