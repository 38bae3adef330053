"""Events into another events topic: key, value, headers and partition as the live processor's.

A lane is a partition. Its events are written in transactions under an id of the lane's own, so that
a run that was killed has left whole transactions and no record under way once the resumed run has
its producer (KIP-98). What it finds beyond its checkpoint it compares with what it makes again, and
does not write twice.
"""

from collections import deque
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Producer, TopicPartition

from processor.replay.errors import ReplayError
from processor.replay.kafka_source import end_of, records_from
from runtime.kafka_access import KafkaAccess
from schemas.codec import EventCodec
from schemas.events import BusinessEvent
from schemas.headers import event_headers

_TRANSACTION_EVENTS: Final = 5_000
_TIMEOUT_S: Final = 60.0


class _State(msgspec.Struct):
    end: int


class TopicOutput:
    """A lane's partition of the events topic.

    Args:
        kafka: Where Kafka is.
        topic: The events topic, nobody else's.
        lane: The partition.
        codec: The events' codec.
        stored: The last checkpoint, or None at the start.

    Raises:
        ReplayError: Kafka does not answer, or the partition is not as it must be.
    """

    def __init__(
        self, kafka: KafkaAccess, topic: str, lane: int, codec: EventCodec, stored: bytes | None
    ) -> None:
        self._kafka = kafka
        self._partition = TopicPartition(topic, lane)
        self._codec = codec
        self._in_transaction = 0
        self._producer = Producer(
            {
                **kafka.librdkafka(),
                "transactional.id": f"{topic}-replay-{lane}",
                "compression.type": "lz4",
                "linger.ms": 50,
                # The longest silence: a block of frames without events, a checkpoint, a pause.
                "transaction.timeout.ms": 600_000,
            }
        )
        try:
            self._producer.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            raise self._failed(error) from error
        start = None if stored is None else msgspec.json.decode(stored, type=_State).end
        self._written = deque(records_from(kafka, self._partition, start))

    def write(self, events: list[BusinessEvent]) -> None:
        """Take events; those that a killed run wrote already are compared only.

        Raises:
            ReplayError: Kafka refuses them, or the topic holds something else.
        """
        for event in events:
            value = self._codec.encode(event)
            if self._written:
                if self._written.popleft().value != value:
                    raise ReplayError(
                        f"{self._partition.topic}, partition {self._partition.partition}, holds "
                        f"another event where {event.event_id} of {event.client_id!r} belongs: "
                        "something else writes there, or what is replayed changed since the run "
                        "was stopped. Begin anew with another topic."
                    )
                continue
            self._produce(event, value)
        if self._in_transaction >= _TRANSACTION_EVENTS:
            self._commit()

    def checkpoint(self) -> bytes:
        """Commit; what comes later in the partition is what a killed run wrote beyond this."""
        self._commit()
        end = self._written[0].offset if self._written else end_of(self._kafka, self._partition)
        return msgspec.json.encode(_State(end))

    def close(self) -> None:
        """Commit.

        Raises:
            ReplayError: The partition holds more events than the history has.
        """
        self._commit()
        if self._written:
            raise ReplayError(
                f"{self._partition.topic}, partition {self._partition.partition}, holds "
                f"{len(self._written)} events more than the history has"
            )

    def _produce(self, event: BusinessEvent, value: bytes) -> None:
        try:
            if not self._in_transaction:
                self._producer.begin_transaction()
            self._in_transaction += 1
            while True:
                try:
                    self._producer.produce(
                        self._partition.topic,
                        key=event.client_id.encode(),
                        value=value,
                        headers=[*event_headers(event)],
                        partition=self._partition.partition,
                    )
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
        except KafkaException as error:
            raise self._failed(error) from error

    def _commit(self) -> None:
        if not self._in_transaction:
            return
        try:
            self._producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as error:
            raise self._failed(error) from error
        self._in_transaction = 0

    def _failed(self, error: KafkaException) -> ReplayError:
        return ReplayError(
            f"events can't be written to {self._partition.topic}, partition "
            f"{self._partition.partition}: {error.args[0].str()}"
        )
