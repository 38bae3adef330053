"""Writes what a chunk came to: in one transaction, or in the order that makes a crash harmless."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from time import monotonic, sleep
from typing import Final, NamedTuple, Protocol

import msgspec
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from processor.chunk import ChunkResult
from processor.state import encode_row
from runtime.kafka_access import KafkaAccess
from schemas.codec import Codec
from schemas.errors import ChargelogError
from schemas.events import BusinessEvent
from schemas.headers import Headers, event_headers
from schemas.records import DeadLetter
from schemas.topics import TopicNames

_TIMEOUT_S: Final = 60.0
_COMMIT_S: Final = 45.0
"""Less than the transaction's own timeout, which is a minute (`transaction.timeout.ms`)."""
_ABORT_S: Final = 5.0
_DELIVERY_MS: Final = 30_000
_SLICE_S: Final = 0.5
_RETRY_S: Final = 0.2
_CONNECTING_S: Final = 0.05


class NotWrittenError(ChargelogError):
    """Kafka did not take what a chunk came to."""


class FencedError(NotWrittenError):
    """Another worker has taken the partition over; nothing of the chunk is visible."""


class Outgoing(NamedTuple):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers


class Outcome(msgspec.Struct, frozen=True):
    """Turns a chunk's result into records.

    Attributes:
        names: The topics.
        events: Codec of the events.
        dead_letters: Codec of the dead letters.
    """

    names: TopicNames
    events: Codec[BusinessEvent]
    dead_letters: Codec[DeadLetter]

    def said(self, result: ChunkResult) -> Iterator[Outgoing]:
        """Events and dead letters."""
        topic, encode = self.names.events, self.events.encode
        for event in result.events:
            key = event.client_id.encode()
            yield Outgoing(topic, key, encode(event), event_headers(event))
        for letter in result.dead_letters:
            client_id = letter.client_id
            yield Outgoing(
                self.names.dead_letter,
                None if client_id is None else client_id.encode(),
                self.dead_letters.encode(letter),
                [],
            )

    def rows(self, result: ChunkResult) -> Iterator[Outgoing]:
        """Every touched row's last value."""
        topic = self.names.connectors_changelog
        for key, row in result.rows.items():
            yield Outgoing(topic, key.encode(), encode_row(row), [])


class Writer(Protocol):
    """Writes one partition's chunks. All calls block, and come from one thread at a time."""

    def open(self) -> None:
        """Make ready, before the partition's state is read.

        Raises:
            NotWrittenError: Kafka refuses or does not answer.
        """

    def write(self, result: ChunkResult, next_offset: int) -> None:
        """Make the chunk's outcome durable.

        Args:
            result: What the chunk came to.
            next_offset: The source offset behind the chunk.

        Raises:
            NotWrittenError: It may be there or not; the process must end and start from the log.
        """

    def close(self) -> None:
        """Let go of the partition."""


class TransactionalWriter:
    """Events, dead letters, rows and source offset of a chunk in one transaction.

    The transactional id is the source partition's, so `open` ends what a previous owner left
    unfinished and shuts it out: there is no time at which two workers can write for a partition.
    That is the fencing of KIP-98. KIP-447's, by the group's generation, is out of reach: the
    group's member is aiokafka's consumer, and TxnOffsetCommit is this producer's.
    """

    def __init__(
        self, kafka: KafkaAccess, outcome: Outcome, partition: int, group: "Group"
    ) -> None:
        self._outcome = outcome
        self._partition = partition
        self._group = group
        names = outcome.names
        self._transactional_id = f"{names.processor_app_id}-{names.frames}-{partition}"
        self._kafka = kafka

    @cached_property
    def _producer(self) -> Producer:
        return Producer(
            {
                **self._kafka.librdkafka(),
                "transactional.id": self._transactional_id,
                "compression.type": "lz4",
                # Nobody waits for it: a commit sends at once what is left.
                "linger.ms": 5,
                "batch.num.messages": 100_000,
                "queue.buffering.max.messages": 0,
                "queue.buffering.max.kbytes": 256 * 1024,
            }
        )

    def open(self) -> None:
        """End the previous owner's transaction, if there is one, and shut it out."""
        try:
            # librdkafka 2.16 looks every 500 ms whether a broker is connected by now.
            self._producer.list_topics(self._outcome.names.frames, timeout=_TIMEOUT_S)
            sleep(_CONNECTING_S)
            self._producer.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            raise self._failed("can't be taken over", error) from error

    def write(self, result: ChunkResult, next_offset: int) -> None:
        """Make all of the chunk visible at once, or nothing."""
        producer, partition = self._producer, self._partition
        try:
            producer.begin_transaction()
            for records in (self._outcome.said(result), self._outcome.rows(result)):
                for record in records:
                    _produce(producer, record, partition, None)
            producer.send_offsets_to_transaction(
                [TopicPartition(self._outcome.names.frames, partition, next_offset)],
                self._group.metadata(),
                _TIMEOUT_S,
            )
            producer.commit_transaction(_COMMIT_S)
        except KafkaException as error:
            self._abort(error.args[0])
            raise self._failed("could not be committed", error) from error

    def close(self) -> None:
        """Let go of the partition."""
        self.__dict__.pop("_producer", None)

    def _abort(self, error: KafkaError) -> None:
        # So that readers of committed records do not have to wait for the next owner.
        if not error.fatal():
            with suppress(KafkaException):  # the next owner's `open` does it then
                self._producer.abort_transaction(_ABORT_S)

    def _failed(self, what: str, error: KafkaException) -> NotWrittenError:
        cause: KafkaError = error.args[0]
        fenced = cause.code() in _FENCED or "fenced" in cause.str().lower()
        kind = FencedError if fenced else NotWrittenError
        return kind(f"transaction {self._transactional_id} {what}: {cause.name()}: {cause.str()}")


_FENCED: Final = {
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's name
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}


class Group:
    """The consumer group as a transaction names it."""

    def __init__(self, kafka: KafkaAccess, group_id: str, topic: str) -> None:
        self._settings: dict[str, str | int | float | bool] = {
            **kafka.librdkafka(),
            "group.id": group_id,
            "enable.auto.commit": False,
            # Makes the broker answer with stable offsets only (KIP-447): one that is just being
            # committed is waited for.
            "isolation.level": "read_committed",
        }
        self._topic = topic

    @cached_property
    def _consumer(self) -> Consumer:
        # Never subscribes: Faust's consumer is the group's member.
        return Consumer(self._settings)

    def metadata(self) -> object:
        """The group, without member and generation."""
        return self._consumer.consumer_group_metadata()

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """The committed offset of each partition, or its first one where there is none. Blocks.

        Raises:
            NotWrittenError: Kafka does not say.
        """
        end = monotonic() + _TIMEOUT_S
        while True:
            try:
                return self._committed(partitions)
            except KafkaException as error:
                # What was just made, or a broker that just came back, has no leader yet.
                if monotonic() > end:
                    raise NotWrittenError(
                        f"the committed offsets of {self._topic} can't be read: "
                        f"{error.args[0].str()}"
                    ) from error
                sleep(_RETRY_S)

    def _committed(self, partitions: Sequence[int]) -> dict[int, int]:
        sources = [TopicPartition(self._topic, number) for number in partitions]
        offsets = {}
        for entry in self._consumer.committed(sources, _TIMEOUT_S):
            if entry.error is not None:
                raise KafkaException(entry.error)
            offsets[entry.partition] = entry.offset
        for source in sources:
            if offsets[source.partition] < 0:
                first, _ = self._consumer.get_watermark_offsets(source, _TIMEOUT_S)
                offsets[source.partition] = first
        return offsets


class OrderedWriter:
    """Events and dead letters, then rows; the source offset is committed after that.

    A crash between two steps repeats events (same eventId, same bytes); it never loses one, which
    would happen if a row that knows of a session reached the changelog before the session's event
    reached its topic.
    """

    def __init__(self, kafka: KafkaAccess, outcome: Outcome, partition: int) -> None:
        self._kafka = kafka
        self._outcome = outcome
        self._partition = partition

    @cached_property
    def _producer(self) -> Producer:
        return Producer(
            {
                **self._kafka.librdkafka(),
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": _DELIVERY_MS,
                # `flush` does not wait for it. It keeps a chunk's rows together in one batch, which
                # the broker appends wholly or not at all: a crash can't leave a charge point's row
                # ahead of its connector's.
                "linger.ms": 100,
                "compression.type": "lz4",
            }
        )

    def open(self) -> None:
        """Nothing to be done: no other worker can be shut out."""

    def write(self, result: ChunkResult, next_offset: int) -> None:  # noqa: ARG002 - see Assignment
        """Make the events durable, then the rows."""
        for records in (self._outcome.said(result), self._outcome.rows(result)):
            failures: list[str] = []

            def delivered(
                error: KafkaError | None, _: Message, failures: list[str] = failures
            ) -> None:
                if error is not None:
                    failures.append(str(error))

            for record in records:
                _produce(self._producer, record, self._partition, delivered)
            # Every record ends delivered or failed within delivery.timeout.ms.
            while self._producer.flush(_SLICE_S):
                pass
            if failures:
                raise NotWrittenError(
                    f"{len(failures)} records were not confirmed by Kafka: {failures[0]}"
                )

    def close(self) -> None:
        """Let go of the partition."""
        self.__dict__.pop("_producer", None)


def _produce(
    producer: Producer,
    record: Outgoing,
    partition: int,
    on_delivery: Callable[[KafkaError | None, Message], None] | None,
) -> None:
    while True:
        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=[*record.headers],
                partition=partition,
                on_delivery=on_delivery,
            )
        except BufferError:
            producer.poll(_SLICE_S)  # the queue is full: wait until Kafka has taken some
        else:
            return
