"""Frames out of Kafka, up to where the topic ended when the run began.

Offsets are never committed and no group is joined: live consumers do not notice.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processor.replay.cluster import topics_of, unreachable
from processor.replay.errors import ReplayError
from runtime.kafka_access import KafkaAccess

_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.1
"""How long a batch is waited for that does not get full: each partition's last one."""
_PAUSE_S: Final = 0.1
_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_BATCH: Final = 8192
_SILENT_POLLS: Final = 1_200
"""Two minutes without a record or an error: Kafka is gone, or a transaction never ends."""


class Bounds(NamedTuple):
    """Offsets of a partition: the first one, and the one after the last."""

    start: int
    end: int


class TopicRecord(msgspec.Struct, frozen=True, gc=False):
    """One record; one without value has an empty one."""

    offset: int
    key: bytes | None
    value: bytes


def bounds_of(kafka: KafkaAccess, topic: str, as_of: int | None = None) -> dict[int, Bounds]:
    """What each partition holds.

    Args:
        kafka: Where Kafka is.
        topic: The topic.
        as_of: Unix microseconds: without what Kafka took from then on; None: all that it holds now.

    Raises:
        ReplayError: The topic does not exist, or Kafka does not answer.
    """
    found = topics_of(kafka).get(topic)
    if found is None:
        raise ReplayError(
            f"there is no topic {topic} on {kafka}; correct its name, TOPIC_PREFIX or "
            "KAFKA_BOOTSTRAP_SERVERS"
        )
    if found.error is not None:
        raise ReplayError(f"topic {topic} on {kafka}: {found.error.str()}")
    with _asking(kafka) as consumer:
        bounds = {
            number: Bounds(*_watermarks(consumer, TopicPartition(topic, number)))
            for number in sorted(found.partitions)
        }
        return bounds if as_of is None else _cut(consumer, topic, bounds, as_of)


def _cut(
    consumer: Consumer, topic: str, bounds: dict[int, Bounds], as_of: int
) -> dict[int, Bounds]:
    """The bounds, but before the first record whose time is `as_of` or later."""
    as_of_ms = -(-as_of // 1000)  # record times are whole milliseconds
    wanted = [TopicPartition(topic, number, as_of_ms) for number in bounds]
    found = consumer.offsets_for_times(wanted, timeout=_TIMEOUT_S)
    # Where no record is so late, the offset is negative.
    ends = {one.partition: one.offset for one in found if one.offset >= 0}
    return {
        number: Bounds(start, min(end, ends.get(number, end)))
        for number, (start, end) in bounds.items()
    }


def end_of(kafka: KafkaAccess, partition: TopicPartition) -> int:
    """The offset after the partition's last record, be it committed or not.

    A transaction's end is written to the partition a moment after `commit_transaction` has
    returned; until then a reader of committed records is told that the partition ends before it.
    """
    with _asking(kafka, isolation="read_uncommitted") as consumer:
        return _watermarks(consumer, partition)[1]


def records_from(
    kafka: KafkaAccess, partition: TopicPartition, start: int | None
) -> list[TopicRecord]:
    """The partition's records from an offset, or from its first, to the end; few, so in memory."""
    with _asking(kafka) as consumer:
        low, end = _watermarks(consumer, partition)
    bounds = {partition.partition: Bounds(low if start is None else start, end)}
    source = KafkaSource(kafka, partition.topic, bounds)
    try:
        return [record for _, records in source.records() for record in records]
    finally:
        source.close()


class KafkaSource:
    """Reads partitions from where to where.

    Args:
        kafka: Where Kafka is.
        topic: The topic.
        bounds: By partition.
    """

    def __init__(self, kafka: KafkaAccess, topic: str, bounds: Mapping[int, Bounds]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._ends = {n: b.end for n, b in bounds.items() if b.start < b.end}
        self._consumer = _consumer(kafka)
        self._positions = {number: b.start for number, b in bounds.items()}
        self._consumer.assign(
            [TopicPartition(topic, n, bounds[n].start) for n in sorted(self._ends)]
        )

    def records(self) -> Iterator[tuple[int, list[TopicRecord]]]:
        """Records of one partition at a time, in order, until every partition's end.

        Raises:
            ReplayError: Kafka gives an error, or nothing for two minutes.
        """
        silent, topic, ends = 0, self._topic, self._ends
        while ends:
            batch = self._consumer.consume(_BATCH, _POLL_S)
            silent = 0 if batch else silent + 1
            if silent > _SILENT_POLLS:
                raise ReplayError(
                    f"{self._kafka} gave nothing of {topic} for two minutes; is an unfinished "
                    "transaction in the way?"
                )
            found: dict[int, list[TopicRecord]] = {}
            for message in batch:
                error, number, offset = message.error(), message.partition(), message.offset()
                if error is not None or number is None or offset is None:
                    self._note(error, number, offset)
                    continue
                part = found.get(number)
                if part is None:
                    part = found[number] = []
                part.append(TopicRecord(offset, message.key(), message.value() or b""))
            for number, records in found.items():
                after = records[-1].offset + 1
                # The same batch may have told the partition's end, behind control records.
                self._positions[number] = max(self._positions[number], after)
                # What came after the end is of the next run.
                end = ends.get(number, 0)
                within = records if after <= end else _before(records, end)
                if within:
                    yield number, within
            for number in [n for n, end in ends.items() if self._positions[n] >= end]:
                del ends[number]
                self._consumer.incremental_unassign([TopicPartition(topic, number)])

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def _note(self, error: KafkaError | None, number: int | None, offset: int | None) -> None:
        if error is None:
            return
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            # Control records take offsets too: the end may lie behind the last record.
            if number is not None and offset is not None:
                self._positions[number] = max(self._positions[number], offset)
        elif not error.retriable() or error.fatal():
            raise ReplayError(f"{self._topic}, partition {number}: {error.str()}")


def _before(records: list[TopicRecord], end: int) -> list[TopicRecord]:
    return [record for record in records if record.offset < end]


def _consumer(kafka: KafkaAccess, isolation: str = "read_committed") -> Consumer:
    return Consumer(
        {
            **kafka.librdkafka(),
            # Errors are told by ReplayErrors; librdkafka's own lines would bury them.
            "log_level": 0,
            "group.id": "chargelog-replay",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 4 << 20,
            "queued.max.messages.kbytes": 32 << 10,
        }
    )


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    give_up = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            found = consumer.get_watermark_offsets(partition, timeout=_TIMEOUT_S)
        except KafkaException as error:
            # A topic that was made just now, or a leader that is being replaced.
            if error.args[0].code() not in _PASSING or time.monotonic() > give_up:
                raise
            time.sleep(_PAUSE_S)
            continue
        if found is None:
            raise ReplayError(f"Kafka does not say where {partition.topic} ends")
        return found


@contextmanager
def _asking(kafka: KafkaAccess, isolation: str = "read_committed") -> Iterator[Consumer]:
    consumer = _consumer(kafka, isolation)
    try:
        yield consumer
    except KafkaException as error:
        raise unreachable(kafka, error.args[0].str()) from error
    finally:
        consumer.close()
