"""Which of a partition's fetched records are due: each exactly once, none left out.

Between the log and the reducer lie a fetcher, queues and rebalances that clear them. Whatever
these do, a record is reduced only if it is the next one after all that were committed.
"""

from collections.abc import Sequence

import msgspec

from schemas.errors import ChargelogError


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record of the frames topic: what the processor and Faust read of it.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        timestamp: Unix ms.
        timestamp_type: 0: set by the producer; 1: by the broker.
        key: The charge point's identity.
        value: An encoded frame, unless somebody else wrote it.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


class Fetched(msgspec.Struct, frozen=True):
    """Records that were read from one partition in one go.

    Attributes:
        partition: Their partition.
        start: The offset from which was read; the first record may lie behind it, where markers of
            transactions stand between. None where it was not said from which.
        records: In the order of their offsets; at least one.
    """

    partition: int
    start: int | None
    records: Sequence[SourceRecord]


class SequenceError(ChargelogError):
    """The records are not the ones that follow what was committed."""


def due(fetched: Fetched, next_offset: int) -> Sequence[SourceRecord]:
    """The records that were not processed before, often all.

    Args:
        fetched: What was read.
        next_offset: The offset after the last one committed; the partition's first if none was.

    Raises:
        SequenceError: Records are missing, or the topic was made anew and counts from 0 again.
            Going on would lose frames without a word.
    """
    records, start = fetched.records, fetched.start
    first = records[0].offset
    if start is not None and first < start:
        raise SequenceError(
            f"partition {fetched.partition}: asked for offset {start}, got {first}. Was the topic "
            "deleted and made anew? Then delete the consumer group's offsets as well, and the "
            "changelog, to start from its beginning"
        )
    if (first if start is None else start) > next_offset:
        raise SequenceError(
            f"partition {fetched.partition}: expected offset {next_offset}, got {first}; ending, "
            "to read again from what was committed"
        )
    if first >= next_offset:
        return records
    return [record for record in records if record.offset >= next_offset]
