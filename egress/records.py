"""Kafka records → what is published of them, under an installation's settings."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from egress.routing import Publication, Router
from egress.selection import selection
from egress.settings import EgressSettings
from schemas.codec import Registry, event_codec, frame_codec
from schemas.registry import registry_for


class Routed(NamedTuple):
    """What is published of a record.

    Attributes:
        time_us: When it happened, Unix microseconds.
        publications: In their order; none where the record is filtered out.
    """

    time_us: int
    publications: tuple[Publication, ...]


Route: TypeAlias = Callable[[bytes, str | None], Routed]
"""A record's value and trace context → what is published of it."""


def routes(settings: EgressSettings) -> dict[str, Route]:
    """Topics that are read, and what becomes of their records."""
    return _routes(settings, _router(settings), registry_for(settings.schema_registry_url))


def _routes(
    settings: EgressSettings, router: Router, registry: Registry | None
) -> dict[str, Route]:
    topics = settings.topics
    frames = frame_codec(registry, topics.frames)
    events = event_codec(registry, topics.events)

    def frame(value: bytes, trace: str | None) -> Routed:
        found = frames.decode(value)
        return Routed(found.received_at_ns // 1000, router.frame(found, trace))

    def event(value: bytes, trace: str | None) -> Routed:
        found = events.decode(value)
        return Routed(found.timestamp, router.event(found, trace))

    chosen: dict[str, Route] = {}
    if settings.mqtt_protocol_events_enabled:
        chosen[topics.frames] = frame
    if settings.mqtt_business_events_enabled:
        chosen[topics.events] = event
    return chosen


def _router(settings: EgressSettings) -> Router:
    return Router(
        prefix=settings.topic_levels,
        selects=selection(settings.only, settings.without),
        retain_status=settings.mqtt_retain_status,
    )
