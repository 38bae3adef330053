from collections.abc import Sequence

import pytest

from processor.sequence import Fetched, SequenceError, SourceRecord, due


def record(offset: int) -> SourceRecord:
    return SourceRecord("ocpp.frames", 3, offset, 0, 0, b"CP0", b"frame")


def fetched(start: int | None, *offsets: int) -> Fetched:
    return Fetched(3, start, [record(offset) for offset in offsets])


def offsets(records: Sequence[SourceRecord]) -> list[int]:
    return [one.offset for one in records]


@pytest.mark.parametrize(
    ("batch", "next_offset", "expected"),
    [
        (fetched(None, 0, 1), 0, [0, 1]),
        (fetched(7, 7, 8), 7, [7, 8]),
        # Markers of transactions take offsets too.
        (fetched(7, 9, 10), 7, [9, 10]),
        # Fetched before a rebalance, or again after it.
        (fetched(5, 5, 6, 7, 8), 7, [7, 8]),
        (fetched(5, 5, 6), 7, []),
        (fetched(None, 5, 6, 7), 7, [7]),
    ],
)
def test_each_record_is_due_once(batch: Fetched, next_offset: int, expected: list[int]) -> None:
    assert offsets(due(batch, next_offset)) == expected


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        (fetched(8, 8, 9), "expected offset 7, got 8"),
        (fetched(None, 8, 9), "expected offset 7, got 8"),
        # The topic was deleted and made anew: the reader was set back to its beginning.
        (fetched(7, 0, 1), "asked for offset 7, got 0"),
    ],
)
def test_a_missing_record_is_noticed(batch: Fetched, complaint: str) -> None:
    with pytest.raises(SequenceError, match=complaint):
        due(batch, 7)
