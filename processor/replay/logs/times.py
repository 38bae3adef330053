"""The times that logs write, and the zones that they leave out."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from processor.fields import micros_of
from processor.replay.errors import Rejected, UsageError
from schemas import timestamps
from schemas.errors import TimestampError

_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"unix": 1_000_000_000, "unix-ms": 1_000_000, "unix-us": 1_000, "unix-ns": 1}

_END_NS: Final = 1 << 63
"""Beyond what an Avro long of nanoseconds can hold."""
_MOST_DIGITS: Final = 19

ISO: Final = "iso"
"""ISO 8601 / RFC 3339, also with a space in the middle or a comma before the fraction."""


def zone_named(name: str) -> tzinfo:
    """A zone such as `Europe/Berlin`, `UTC` or `+02:00`.

    Raises:
        UsageError: There is none of that name.
    """
    offset = _OFFSET.fullmatch(name)
    try:
        if offset is not None:
            sign = -1 if offset[1] == "-" else 1
            return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"there is no time zone {name!r}; write e.g. Europe/Berlin, UTC or +02:00"
        ) from error


class Clock:
    """Reads one log's times, in the order of its lines.

    Args:
        form: `iso`, `unix`, `unix-ms`, `unix-us`, `unix-ns`, or a strptime format.
        zone: The zone of times that name none; None where that is not known.
    """

    def __init__(self, form: str, zone: tzinfo | None) -> None:
        self._zone = zone
        self._last = 0
        self._read: Callable[[str], int]
        if form == ISO:
            self._read = self._iso
        elif form in _UNITS:
            unit = _UNITS[form]
            self._read = lambda text: _unix(text, unit)
        else:
            self._read = lambda text: self._formatted(text, form)

    def ns(self, text: str) -> int:
        """Unix nanoseconds.

        Raises:
            Rejected: The text is no time.
            UsageError: The time names no zone, and none was given.
        """
        found = self._read(text)
        if not -_END_NS <= found < _END_NS:
            raise Rejected("time unreadable", f"{text!r:.64} does not lie between 1677 and 2262")
        return found

    def _iso(self, text: str) -> int:
        try:
            micros, has_zone = timestamps.parse(text)
        except TimestampError as error:
            raise Rejected("time unreadable", str(error)) from error
        return 1000 * (micros if has_zone else self._local(micros, text))

    def _formatted(self, text: str, form: str) -> int:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes after
        except ValueError as error:
            raise Rejected("time unreadable", str(error)) from error
        if moment.tzinfo is not None:
            return 1000 * micros_of(moment)
        return 1000 * self._local(micros_of(moment.replace(tzinfo=UTC)), text)

    def _local(self, micros: int, text: str) -> int:
        """The Unix time of a wall clock's, given as if it were UTC's."""
        if self._zone is None:
            raise UsageError(
                f"the log's times name no zone ({text!r}); say which it is with --zone, "
                "e.g. --zone Europe/Berlin or --zone UTC"
            )
        wall = (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=self._zone)
        unix = micros_of(wall)
        if unix < self._last:
            # The hour that a clock goes through twice in autumn: the second time, if the first
            # would be earlier than the line before.
            unix = max(unix, micros_of(wall.replace(fold=1)))
        self._last = max(self._last, unix)
        return unix


def _unix(text: str, unit: int) -> int:
    whole, _, fraction = text.strip().partition(".")
    digits = whole + fraction
    if not (whole and digits.isascii() and digits.isdigit()) or len(whole) > _MOST_DIGITS:
        raise Rejected("time unreadable", f"no Unix time: {text!r:.64}")
    places = len(str(unit)) - 1
    return int(whole) * unit + int((fraction + "0" * places)[:places] or 0)
