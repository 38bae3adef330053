"""Reading fields of OCPP 1.6 payloads that may break their schema.

Each function notes what it had to overlook in `found`, the anomaly codes of the event to come.
"""

from datetime import UTC, datetime, timedelta
from reprlib import repr as shown
from typing import Any, Final

import orjson

from schemas import timestamps
from schemas.errors import ChargelogError, TimestampError
from schemas.frames import OcppFrame

SCHEMA_VIOLATION: Final = "schema_violation"
MAX_TEXT: Final = 255
"""Signs of a text. OCPP allows 20 for an idTag of 1.6 and 255 for an idToken of 2.1. Texts are kept
in rows, and a row that outgrows what Kafka takes would stop its whole partition."""

_INT64: Final = 2**63
_DIGITS: Final = 18  # always within 64 bits
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros_of(moment: datetime) -> int:
    """A zoned date-time in Unix microseconds."""
    return (moment - _EPOCH) // _MICROSECOND


# No OCPP charge point is older; a clock that reads less was never set.
_EARLIEST: Final = micros_of(datetime(2010, 1, 1, tzinfo=UTC))
# With its zone a time may lie beyond what RFC 3339 can write.
_LATEST: Final = micros_of(datetime.max.replace(tzinfo=UTC))
_DAY: Final = 86_400_000_000
_MAX_CONNECTOR: Final = 10_000
_PLAIN_UTC: Final = frozenset({20, 24, 27})  # lengths: whole seconds, milli-, microseconds


class IndigestibleFrameError(ChargelogError):
    """A frame lacks what its event can't do without; no row was changed."""


def payload_of(frame: OcppFrame, index: int) -> dict[str, Any]:
    """The payload at `index` of the frame's OCPP-J array.

    Raises:
        IndigestibleFrameError: There is none: the frame's kind promises more than its text holds.
    """
    try:
        payload = orjson.loads(frame.raw)[index]
    except (orjson.JSONDecodeError, IndexError, KeyError, TypeError) as error:
        raise IndigestibleFrameError(
            f"{_name(frame)}: the text is not the OCPP-J array that its kind says: {error}"
        ) from error
    if type(payload) is not dict:
        raise IndigestibleFrameError(f"{_name(frame)}: the payload is no JSON object")
    return payload


def integer(value: object, found: set[str]) -> int | None:
    """A whole number of at most 64 bits, also one written as text or as `7.0`; else None."""
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    found.add(SCHEMA_VIOLATION)
    if type(value) is float and value.is_integer() and abs(value) < _INT64:
        return int(value)
    if type(value) is str:
        digits = value.strip()
        unsigned = digits.removeprefix("-")
        if unsigned.isascii() and unsigned.isdigit() and len(unsigned) <= _DIGITS:
            return int(digits)
    return None


def needed_integer(frame: OcppFrame, payload: dict[str, Any], name: str, found: set[str]) -> int:
    """A whole number the event can't do without.

    Raises:
        IndigestibleFrameError: It is missing or can't be read.
    """
    value = payload.get(name)
    number = integer(value, found)
    if number is None:
        raise IndigestibleFrameError(
            f"{_name(frame)}: {name} is {_shown(payload, name)}; a whole number is needed"
        )
    return number


def connector_id(frame: OcppFrame, payload: dict[str, Any], found: set[str]) -> int:
    """The frame's connectorId.

    Raises:
        IndigestibleFrameError: It is missing, can't be read, or no charge point has such a one.
    """
    number = needed_integer(frame, payload, "connectorId", found)
    if not 0 <= number <= _MAX_CONNECTOR:
        raise IndigestibleFrameError(
            f"{_name(frame)}: connectorId {number} is not within 0 to {_MAX_CONNECTOR}"
        )
    return number


def needed_text(frame: OcppFrame, payload: dict[str, Any], name: str) -> str:
    """A text the event can't do without.

    Raises:
        IndigestibleFrameError: It is missing, empty, no text or too long.
    """
    value = payload.get(name)
    if type(value) is not str or not 0 < len(value) <= MAX_TEXT:
        raise IndigestibleFrameError(
            f"{_name(frame)}: {name} is {_shown(payload, name)}; "
            f"a text of 1 to {MAX_TEXT} signs is needed"
        )
    return value


def text(value: object, found: set[str]) -> str | None:
    """A text that ought to be there; a whole number counts as one, anything else is None."""
    if type(value) is str and len(value) <= MAX_TEXT:
        return value
    found.add(SCHEMA_VIOLATION)
    return str(value) if type(value) is int else None


def written(timestamp: object) -> str | None:
    """A date-time as it was written, to be compared with another one; None where it is none."""
    return timestamp if type(timestamp) is str and len(timestamp) <= MAX_TEXT else None


def moment(value: object, found: set[str]) -> int | None:
    """A date-time (OCPP 1.6 §3.14) in Unix microseconds; None where it tells no time."""
    if type(value) is not str or len(value) > MAX_TEXT:
        found.add("timestamp_unreadable")
        return None
    if len(value) in _PLAIN_UTC and value[-1] == "Z" and value[10] == "T":
        # What nearly all charge points send, without the general reader's regular expression.
        try:
            micros = micros_of(datetime.fromisoformat(value))
        except ValueError:
            found.add("timestamp_unreadable")
            return None
    else:
        try:
            micros, has_zone = timestamps.parse(value)
        except TimestampError:
            found.add("timestamp_unreadable")
            return None
        if not has_zone:
            found.add("timestamp_without_zone")
    if micros < _EARLIEST:
        found.add("clock_not_set")
        return None
    if micros > _LATEST:
        found.add("timestamp_unreadable")
        return None
    return micros


def session_time(value: object, received_at: int, found: set[str]) -> int | None:
    """When a session started or stopped, as `moment`; None as well where it is not over yet.

    Nothing is reported before it happens, so a clock a day ahead of the report's receipt is wrong
    (some GPS receivers start 1,024 weeks off), and no price may be looked up by it. Within the day
    it may be a time zone that is written wrongly.
    """
    micros = moment(value, found)
    if micros is not None and micros > received_at + _DAY:
        found.add("clock_ahead")
        return None
    return micros


def _shown(payload: dict[str, Any], name: str) -> str:
    return f"{shown(payload[name]):.40}" if name in payload else "missing"


def _name(frame: OcppFrame) -> str:
    return f"{frame.action or 'no action'} {frame.kind} {frame.message_id!r} of {frame.client_id!r}"
