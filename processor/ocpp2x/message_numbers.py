"""seqNo of TransactionEvent (OCPP 2.0.1 and 2.1 Part 2, E01.FR.07): which messages were seen.

Charge points number the messages of a transaction one by one, from 0 or from anywhere. Firmware
that stands still or starts again after a reboot exists too (lbbrhzn/ocpp#2135), so the number alone
does not tell whether two messages are one: for the latest ones what they said is kept.
"""

import zlib
from typing import Final, Literal, TypeAlias

import orjson
from msgspec.structs import replace

from processor.row_value import RowValue

MAX_RANGES: Final = 16
"""Runs of consecutive numbers kept for a transaction."""
MAX_MARKS: Final = 16
"""Messages of a transaction that are known by what they said."""
_NO_NUMBER: Final = -1

Verdict: TypeAlias = Literal["new", "again", "reused", "old"]


class Seen(RowValue, frozen=True):
    """The messages of a transaction that were seen.

    Attributes:
        ranges: Their numbers as runs from first to last, ascending.
        marks: Number and `mark_of` of the latest ones, oldest first.
        gap: Numbers were missing between runs that had to be put together.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    marks: tuple[tuple[int, int], ...] = ()
    gap: bool = False


def mark_of(event_type: str, timestamp: object, meter_value: object) -> int:
    """What tells two messages with one number apart, in 32 bits; arguments are JSON values.

    Only what stays the same when a message is sent again: `offline` may turn to true.
    """
    try:
        text = orjson.dumps([event_type, timestamp, meter_value])
    except orjson.JSONEncodeError:  # orjson reads 1,024 levels and writes 254
        text = orjson.dumps([event_type, timestamp])
    return zlib.crc32(text)


def verdict(seen: Seen, number: int | None, mark: int) -> Verdict:
    """Whether a message is new.

    Returns:
        `new`; `again`: it was sent before; `reused`: another one had its number; `old`: one had,
        but what that one said is no longer kept.
    """
    key = _NO_NUMBER if number is None else number
    if (key, mark) in seen.marks:
        return "again"
    if number is None or not any(first <= number <= last for first, last in seen.ranges):
        return "new"
    return "reused" if any(key == old for old, _ in seen.marks) else "old"


def with_message(seen: Seen, number: int | None, mark: int) -> Seen:
    """The messages and one more."""
    key = _NO_NUMBER if number is None else number
    marks = seen.marks if (key, mark) in seen.marks else (*seen.marks, (key, mark))[-MAX_MARKS:]
    if number is None:
        return replace(seen, marks=marks)
    ranges = _with_number(seen.ranges, number)
    if len(ranges) <= MAX_RANGES:
        return replace(seen, ranges=ranges, marks=marks)
    (first, _), (_, last), *rest = ranges
    return replace(seen, ranges=((first, last), *rest), marks=marks, gap=True)


def has_gap(seen: Seen) -> bool:
    """Whether a message between the first and the last one never came."""
    return seen.gap or len(seen.ranges) > 1


def last_number(seen: Seen) -> int | None:
    """The highest number, or None before the first."""
    return seen.ranges[-1][1] if seen.ranges else None


def _with_number(ranges: tuple[tuple[int, int], ...], number: int) -> tuple[tuple[int, int], ...]:
    if ranges and ranges[-1][1] == number - 1:  # nearly always
        return (*ranges[:-1], (ranges[-1][0], number))
    result: list[tuple[int, int]] = []
    for first, last in sorted((*ranges, (number, number))):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)
