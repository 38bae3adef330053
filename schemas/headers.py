"""Kafka record headers: CloudEvents attributes (Kafka protocol binding, binary mode)."""

from typing import Final, TypeAlias, get_args

from schemas.events import PAYLOAD_TYPES, BusinessEvent
from schemas.frames import Kind, OcppFrame
from schemas.timestamps import format_micros

Headers: TypeAlias = list[tuple[str, bytes]]

_SPEC: Final = ("ce_specversion", b"1.0")
_AVRO: Final = ("content-type", b"application/avro")
_FRAME_TYPES: Final[dict[Kind, tuple[str, bytes]]] = {
    kind: ("ce_type", f"chargelog.frame.{kind.lower()}".encode()) for kind in get_args(Kind)
}
_EVENT_TYPES: Final[dict[str, tuple[str, bytes]]] = {
    name: ("ce_type", f"chargelog.{name}".encode()) for name in PAYLOAD_TYPES
}


def frame_headers(frame: OcppFrame) -> Headers:
    """ce_id is `<connectionId>:<receivedAtNs>`, unique as times strictly increase."""
    return [
        _SPEC,
        ("ce_id", f"{frame.connection_id}:{frame.received_at_ns}".encode()),
        _FRAME_TYPES[frame.kind],
        ("ce_source", _source(frame.client_id)),
        ("ce_time", format_micros(frame.received_at_ns // 1000).encode()),
        _AVRO,
    ]


def event_headers(event: BusinessEvent) -> Headers:
    """ce_id is the eventId, so that consumers can drop duplicates without decoding the value."""
    return [
        _SPEC,
        ("ce_id", event.event_id.encode()),
        _EVENT_TYPES[event.event_type],
        ("ce_source", _source(event.client_id)),
        ("ce_time", format_micros(event.timestamp).encode()),
        _AVRO,
    ]


def _source(client_id: str) -> bytes:
    # A URI reference (CloudEvents §3.1.1); surrogates can't reach here: identities are validated.
    return f"/charge-points/{client_id}".encode()
