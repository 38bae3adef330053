"""Records → MQTT publications. Pure: no clock, no I/O.

Two streams leave here. The protocol stream carries every OCPP frame; its payload is embedded as
the text that was on the wire, so that numbers reach MQTT digit for digit (a float would turn
12345678901234567890 into something else). The business stream carries the events' JSON form.
"""

import re
from base64 import b64encode
from typing import Any, Final

import msgspec
import orjson

from egress.errors import RoutingError
from egress.selection import Selects, selection
from schemas import event_json
from schemas.events import BusinessEvent, StatusChanged
from schemas.frames import Kind, OcppFrame
from schemas.mqtt import (
    CALL_TOPIC,
    EVSE_STATUS_TOPIC,
    INVALID_TOPIC,
    RESULT_TOPIC,
    STATUS_TOPIC,
    escape_level,
    event_topic,
)
from schemas.timestamps import format_seconds

UNKNOWN_ACTION: Final = "Unknown"
"""Stands for the action of a result that answers no CALL we know of."""
MAX_TOPIC_BYTES: Final = 65_535
"""MQTT 5 §1.5.4: a UTF-8 string has a two-byte length."""

_MAX_PROPERTY_CHARACTERS: Final = 1_000
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUESTS: Final[frozenset[Kind]] = frozenset({"CALL", "SEND"})
_LENGTHS: Final[dict[Kind, int]] = {
    "CALL": 4, "SEND": 4, "CALLRESULT": 3, "CALLERROR": 5, "CALLRESULTERROR": 5,
}  # fmt: skip
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One MQTT message.

    Attributes:
        topic: The topic name, escaped.
        payload: UTF-8 JSON.
        properties: MQTT 5 user properties (name, value); MQTT 3.1.1 has no place for them.
        retain: Whether the broker keeps it for who subscribes later.
        strand: Those with the same text arrive in their order: a stream of a charge point.
        stream: `protocol` or `business`.
        type: The event's type, or the frame's kind.
    """

    topic: str
    payload: bytes
    properties: tuple[tuple[str, str], ...] = ()
    retain: bool = False
    strand: str = ""
    stream: str = ""
    type: str = ""


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """Records → what is published of them under an installation's settings.

    Attributes:
        prefix: Put before every topic, with its slash.
        selects: Whether a topic, without the prefix, is published.
        retain_status: Whether each connector's last status is kept on a topic of its own.
    """

    prefix: str = ""
    selects: Selects = selection((), ())
    retain_status: bool = False

    def frame(self, frame: OcppFrame, traceparent: str | None = None) -> tuple[Publication, ...]:
        """What is published of a frame: one message, or nothing.

        Raises:
            RoutingError: As `route_frame`.
        """
        topic = frame_topic(frame)
        if not self.selects(topic):
            return ()
        return (self._placed(_publication(frame, topic, traceparent)),)

    def event(
        self, event: BusinessEvent, traceparent: str | None = None
    ) -> tuple[Publication, ...]:
        """What is published of an event: one message, two with the connector's status, or nothing.

        Raises:
            RoutingError: As `route_event`.
        """
        publication = route_event(event, traceparent)
        found = [publication] if self.selects(publication.topic) else []
        if self.retain_status and isinstance(event.payload, StatusChanged):
            topic = status_topic(event.client_id, event.payload)
            if topic is not None and self.selects(topic):
                found.append(msgspec.structs.replace(publication, topic=topic, retain=True))
        return tuple(self._placed(each) for each in found)

    def _placed(self, publication: Publication) -> Publication:
        if self.prefix:
            topic = self.prefix + publication.topic
            publication = msgspec.structs.replace(publication, topic=topic)
        _check(publication.topic)
        return publication


def frame_topic(frame: OcppFrame) -> str:
    """The contract's topic of a frame."""
    client_id = escape_level(frame.client_id)
    if frame.kind == "INVALID":
        return INVALID_TOPIC.format(client_id=client_id)
    template = CALL_TOPIC if frame.kind in _REQUESTS else RESULT_TOPIC
    return template.format(client_id=client_id, action=escape_level(_action(frame)))


def route_frame(frame: OcppFrame, traceparent: str | None = None) -> Publication:
    """The frame on the protocol stream.

    Its `eventId` property is `<connectionId>:<receivedAtNs>`, equal for a repeated delivery.

    Raises:
        RoutingError: The raw text is not the message that `kind` says.
    """
    return _publication(frame, frame_topic(frame), traceparent)


def _publication(frame: OcppFrame, topic: str, traceparent: str | None) -> Publication:
    properties = [
        ("eventId", f"{frame.connection_id}:{frame.received_at_ns}"),
        ("protocol", frame.protocol),
    ]
    if frame.violation is not None:
        properties.append(("violation", _property_text(frame.violation)))
    if traceparent is not None:
        properties.append(("traceparent", traceparent))
    message = _invalid(frame) if frame.kind == "INVALID" else _message(frame, _action(frame))
    return Publication(
        topic,
        orjson.dumps(message),
        tuple(properties),
        strand=f"protocol/{frame.client_id}",
        stream="protocol",
        type=frame.kind,
    )


def route_event(event: BusinessEvent, traceparent: str | None = None) -> Publication:
    """The event on the business stream.

    Raises:
        RoutingError: The event type has no topic.
    """
    try:
        topic = event_topic(event.event_type, event.client_id)
    except KeyError:
        raise RoutingError(f"the event type {event.event_type!r} has no MQTT topic") from None
    properties = [("eventId", event.event_id)]
    if traceparent is not None:
        properties.append(("traceparent", traceparent))
    return Publication(
        topic,
        event_json.to_json(event),
        tuple(properties),
        strand=f"business/{event.client_id}",
        stream="business",
        type=event.event_type,
    )


def status_topic(client_id: str, status: StatusChanged) -> str | None:
    """Where a connector's last status is kept; None where the event names no connector."""
    if status.connector_id is None:
        return None
    template = STATUS_TOPIC if status.evse_id is None else EVSE_STATUS_TOPIC
    return template.format(
        client_id=escape_level(client_id),
        evse_id=status.evse_id,
        connector_id=status.connector_id,
    )


def traceparent_of(headers: tuple[tuple[str, bytes], ...]) -> str | None:
    """The W3C trace context of a Kafka record; a malformed one is ignored (its §3.2.2)."""
    for name, value in headers:
        if name == "traceparent" and value is not None:
            text = value.decode("latin-1")
            return text if _TRACEPARENT.fullmatch(text) else None
    return None


def _message(frame: OcppFrame, action: str) -> dict[str, Any]:
    try:
        # Strict UTF-8 first: the elements below are cut out of the text without being looked into.
        frame.raw.decode()
        elements = _ELEMENTS.decode(frame.raw)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise RoutingError(f"a {frame.kind} whose text is no JSON array: {error}") from error
    if len(elements) != _LENGTHS[frame.kind]:
        raise RoutingError(
            f"a {frame.kind} of {len(elements)} elements instead of {_LENGTHS[frame.kind]}"
        )
    message: dict[str, Any] = {
        "timestamp": format_seconds(frame.received_at_ns // 1000),
        "clientId": frame.client_id,
        "messageType": action if frame.kind in _REQUESTS else f"{action}Response",
        "requestId": frame.message_id,
        "direction": frame.direction,
    }
    if frame.kind in {"CALLERROR", "CALLRESULTERROR"}:
        message["errorCode"] = orjson.Fragment(bytes(elements[2]))
        message["errorDescription"] = orjson.Fragment(bytes(elements[3]))
        message["errorDetails"] = orjson.Fragment(bytes(elements[4]))
    else:
        message["payload"] = orjson.Fragment(bytes(elements[-1]))
    return message


def _invalid(frame: OcppFrame) -> dict[str, Any]:
    try:
        encoding, raw = "utf-8", frame.raw.decode()
    except UnicodeDecodeError:
        encoding, raw = "base64", b64encode(frame.raw).decode()
    return {
        "timestamp": format_seconds(frame.received_at_ns // 1000),
        "clientId": frame.client_id,
        "requestId": frame.message_id,
        "direction": frame.direction,
        "violation": frame.violation,
        "encoding": encoding,
        "raw": raw,
    }


def _action(frame: OcppFrame) -> str:
    return frame.action or UNKNOWN_ACTION


def _check(topic: str) -> None:
    if len(topic.encode()) > MAX_TOPIC_BYTES:
        raise RoutingError(f"the MQTT topic {topic[:64]}… is longer than {MAX_TOPIC_BYTES} bytes")


def _property_text(text: str) -> str:
    # Brokers close the connection on control characters and non-characters (MQTT 5 §1.5.4).
    shortened = text[:_MAX_PROPERTY_CHARACTERS]
    return "".join(each if each.isprintable() else " " for each in shortened)
