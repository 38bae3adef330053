"""Time as Chargelog writes it: RFC 3339 in UTC; inside, Unix microseconds."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from schemas.errors import TimestampError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_REFUSAL = "no date-time: {!r:.64}; expected e.g. 2023-12-07T10:15:30Z"
# Stricter than datetime.fromisoformat, which takes a date alone (midnight: an invented time),
# a point without digits and a NUL after the Z; and wider, since it reads at most six digits of the
# second's fraction, and charge points send up to nine.
_DATE_TIME = re.compile(
    r"(?P<whole>\d{4}-?\d\d-?\d\d[T ]\d\d(?::?\d\d){1,2})"
    r"(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


class ParsedTime(NamedTuple):
    """A moment in Unix microseconds, and whether its text named a zone."""

    micros: int
    has_zone: bool


def parse(text: str) -> ParsedTime:
    """Read an ISO 8601 / RFC 3339 date-time (OCPP 1.6 §3.14); one without a zone is taken as UTC.

    Raises:
        TimestampError: The text is no date-time, or has no time of day.
    """
    match = _DATE_TIME.fullmatch(text.strip().upper())
    if match is None:
        raise TimestampError(_REFUSAL.format(text))
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    zone = match["zone"]
    try:
        moment = datetime.fromisoformat(f"{match['whole']}.{fraction}{zone or 'Z'}")
        # In UTC, because an offset may carry it out of the calendar, where it can't be written.
        micros = (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise TimestampError(_REFUSAL.format(text)) from error
    return ParsedTime(micros, has_zone=zone is not None)


def format_seconds(micros: int) -> str:
    """Unix microseconds → `2023-12-07T10:15:30Z` (the MQTT contract's form: whole seconds, UTC)."""
    return f"{_second(micros // _SECOND)}Z"


def format_micros(micros: int) -> str:
    """Unix microseconds → `2023-12-07T10:15:30.123456Z`."""
    if micros < _SECOND:
        return f"{_second(micros // _SECOND)}.{micros % _SECOND:06}Z"
    # A third quicker, and these are many.
    return f"{_second(micros // _SECOND)}.{str(micros)[-6:]}Z"


# Live records come many to a second, and those of a replay many to a minute: each text is worked
# out once.
@lru_cache(maxsize=4096)
def _second(number: int) -> str:
    return f"{_minute(number // 60)}{number % 60:02}"


@lru_cache(maxsize=4096)
def _minute(number: int) -> str:
    # Not strftime: its %Y writes the year 999 with three digits.
    moment = (_EPOCH + timedelta(minutes=number)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='minutes')}:"
