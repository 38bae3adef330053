"""Time as Chargelog writes it: RFC 3339 in UTC; inside, Unix microseconds."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas.errors import TimestampError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# datetime.fromisoformat reads at most six digits of the second's fraction; charge points send up
# to nine, and one digit too.
_FRACTION = re.compile(r"[.,](\d+)")


class ParsedTime(NamedTuple):
    """A moment in Unix microseconds, and whether its text named a zone."""

    micros: int
    has_zone: bool


def parse(text: str) -> ParsedTime:
    """Read an ISO 8601 / RFC 3339 date-time (OCPP 1.6 §3.14); one without a zone is taken as UTC.

    Raises:
        TimestampError: The text is no date-time, or has no time of day.
    """
    try:
        trimmed = text.strip()
        # A date alone parses as midnight: an invented time of day.
        if "T" not in trimmed.upper() and " " not in trimmed:
            raise TimestampError(f"no date-time: {text!r:.64}; expected e.g. 2023-12-07T10:15:30Z")
        moment = datetime.fromisoformat(
            _FRACTION.sub(lambda m: "." + m.group(1)[:6].ljust(6, "0"), trimmed, count=1)
        )
        zoned = moment.tzinfo is not None
        if not zoned:
            moment = moment.replace(tzinfo=UTC)
        return ParsedTime((moment - _EPOCH) // _MICROSECOND, zoned)
    except (ValueError, OverflowError) as error:
        if isinstance(error, TimestampError):
            raise
        raise TimestampError(
            f"no date-time: {text!r:.64}; expected e.g. 2023-12-07T10:15:30Z"
        ) from error


def format_seconds(micros: int) -> str:
    """Unix microseconds → `2023-12-07T10:15:30Z` (the MQTT contract's form: whole seconds, UTC)."""
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micros(micros: int) -> str:
    """Unix microseconds → `2023-12-07T10:15:30.123456Z`."""
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
