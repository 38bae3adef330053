"""What tells MQTT subscribers whether an egress instance is there: a retained message."""

from collections.abc import Callable
from typing import Final

import msgspec
import orjson
import structlog

from egress.packets import Will
from egress.routing import Publication
from schemas.timestamps import format_seconds

log = structlog.get_logger(__name__)

_STOPPED: Final = "stopped"
_LOST: Final = "connection lost"


class Announcement:
    """The status topic of one instance.

    {"clientId":"egress-1","status":"online","reason":null,"timestamp":"2026-11-24T10:00:00Z"}

    `reason` says why it is offline. The will has no timestamp: it is written before the fact.
    """

    def __init__(self, topic: str, client_id: str, now_us: Callable[[], int]) -> None:
        """Nothing is said yet.

        Args:
            topic: Where; `{clientID}` is replaced.
            client_id: The instance's MQTT client id.
            now_us: Unix time in microseconds.
        """
        self._topic = topic.replace("{clientID}", client_id)
        self._client_id = client_id
        self._now_us = now_us

    @property
    def will(self) -> Will:
        """What the broker says when the connection is lost."""
        return Will(self._topic, self._payload("offline", _LOST, None))

    def of(self, *, online: bool) -> "Said":
        """What is said now."""
        status, reason = ("online", None) if online else ("offline", _STOPPED)
        payload = self._payload(status, reason, format_seconds(self._now_us()))
        return Said(Publication(self._topic, payload, retain=True))

    def _payload(self, status: str, reason: str | None, timestamp: str | None) -> bytes:
        return orjson.dumps(
            {
                "clientId": self._client_id,
                "status": status,
                "reason": reason,
                "timestamp": timestamp,
            }
        )


class Said(msgspec.Struct, frozen=True):
    """A delivery that is not repeated: the next connection says it anew."""

    publication: Publication
    wanted: bool = False

    def acknowledged(self) -> None:
        """Nothing waits for it."""

    def refused(self, reason: str) -> None:
        """The stream does not depend on it."""
        log.warning("the status could not be published", reason=reason)
