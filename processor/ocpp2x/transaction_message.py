"""TransactionEventRequest (OCPP 2.0.1 and 2.1 Part 2, TransactionEventRequest), read."""

from reprlib import repr as shown
from typing import Any, Final

import msgspec

from processor.fields import (
    MAX_TEXT,
    SCHEMA_VIOLATION,
    IndigestibleFrameError,
    integer,
    needed_text,
    payload_of,
    text,
    written,
)
from processor.measurands import UnreadableSampleError
from processor.ocpp2x.evse_samples import read_readings, read_sample
from processor.ocpp2x.evse_state import NO_EVSE
from processor.ocpp2x.evse_values import MAX_EVSE
from processor.ocpp2x.message_numbers import mark_of
from processor.readings import Reading, read_reading
from processor.step import Anomalies, Step

STARTED: Final = "Started"
UPDATED: Final = "Updated"
ENDED: Final = "Ended"
_EVENT_TYPES: Final = (STARTED, UPDATED, ENDED)
MAX_CONNECTOR: Final = 100
"""On one EVSE; there are one or two."""


class TransactionMessage(msgspec.Struct, frozen=True):
    """One TransactionEvent.

    Attributes:
        event_type: Started, Updated or Ended.
        transaction_id: The charge point's id.
        number: seqNo, or None where it could not be read.
        mark: Tells it from another message with the same seqNo.
        timestamp: As it was written, or None if it was no text.
        evse_id: `NO_EVSE` where it names none.
        connector_id: Of the EVSE, or None.
        id_tag: The idToken, or None where there is none.
        stopped_reason: transactionInfo.stoppedReason, or None.
        readings: Its meterValue elements.
        found: What was wrong with it, but for its timestamp.
    """

    event_type: str
    transaction_id: str
    number: int | None
    mark: int
    timestamp: str | None
    evse_id: int
    connector_id: int | None
    id_tag: str | None
    stopped_reason: str | None
    readings: list[Reading]
    found: Anomalies

    @property
    def begin(self) -> int | None:
        """Wh, the register that is marked as the transaction's begin."""
        begins = [reading.begin for reading in self.readings if reading.begin is not None]
        return begins[0] if begins else None


def read_transaction_message(step: Step) -> TransactionMessage:
    """The frame's TransactionEvent.

    Raises:
        IndigestibleFrameError: No eventType or transactionId; or the readings of an Updated, which
            is nothing without them, can't be read.
    """
    payload = payload_of(step.frame, 3)
    violations = step.anomalies()
    found = set(violations)
    event_type = needed_text(step.frame, payload, "eventType")
    if event_type not in _EVENT_TYPES:
        raise _indigestible(step, f"eventType is {shown(event_type):.40}; expected {_EVENT_TYPES}")
    info = payload.get("transactionInfo")
    if type(info) is not dict:
        raise _indigestible(step, f"transactionInfo is {shown(info):.40}; an object is needed")
    transaction_id = text(info.get("transactionId"), found)
    if not transaction_id:
        raise _indigestible(
            step,
            f"transactionId is {shown(info.get('transactionId')):.40}; "
            f"a text of 1 to {MAX_TEXT} signs is needed",
        )
    timestamp = written(payload.get("timestamp"))
    evse_id, connector_id = _evse(payload.get("evse"), found)
    reason = info.get("stoppedReason")
    return TransactionMessage(
        event_type=event_type,
        transaction_id=transaction_id,
        number=integer(payload.get("seqNo"), found),
        mark=mark_of(event_type, timestamp, payload.get("meterValue")),
        timestamp=timestamp,
        evse_id=evse_id,
        connector_id=connector_id,
        id_tag=_id_tag(payload.get("idToken"), found),
        stopped_reason=None if reason is None else text(reason, found),
        readings=_readings(step, payload.get("meterValue"), event_type, found, violations),
        found=found,
    )


def _evse(evse: object, found: Anomalies) -> tuple[int, int | None]:
    """EVSE and connector number; what can't be one is not known."""
    if evse is None:
        return NO_EVSE, None
    given: dict[str, Any] = evse if type(evse) is dict else {}
    evse_id = integer(given.get("id"), found)
    if evse_id is None or not NO_EVSE < evse_id <= MAX_EVSE:
        found.add(SCHEMA_VIOLATION)
        return NO_EVSE, None
    if given.get("connectorId") is None:
        return evse_id, None
    connector_id = integer(given["connectorId"], found)
    if connector_id is None or not 0 < connector_id <= MAX_CONNECTOR:
        found.add(SCHEMA_VIOLATION)
        return evse_id, None
    return evse_id, connector_id


def _id_tag(id_token: object, found: Anomalies) -> str | None:
    """Who; an empty idToken (of type NoAuthorization) is nobody."""
    if id_token is None:
        return None
    return text(id_token.get("idToken") if type(id_token) is dict else None, found) or None


def _readings(
    step: Step, elements: object, event_type: str, found: Anomalies, violations: Anomalies
) -> list[Reading]:
    """The readable ones: an unreadable one must not cost a Started or Ended."""
    try:
        return read_readings(elements, found if event_type == UPDATED else violations)
    except UnreadableSampleError as error:
        if event_type == UPDATED:
            raise _indigestible(step, str(error)) from error
        found |= {SCHEMA_VIOLATION, "meter_value_unreadable"}
    readings = []
    for element in elements if type(elements) is list else []:
        try:
            readings.append(read_reading(element, read_sample, set(violations)))
        except UnreadableSampleError:
            continue  # `found` says so
    return readings


def _indigestible(step: Step, why: str) -> IndigestibleFrameError:
    return IndigestibleFrameError(
        f"TransactionEvent {step.frame.message_id!r} of {step.frame.client_id!r}: {why}"
    )
