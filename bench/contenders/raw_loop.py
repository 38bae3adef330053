"""A bare confluent-kafka loop: consume a batch, reduce it, write all of it in one transaction.

What the processor could be at best in this language, without what a framework does for it: one
producer, no recovery of its state, no rebalance, no health, no metrics. `--reducer none` decodes
each frame and makes nothing of it, which is the limit of the machine and of the client library.
"""

import argparse
from contextlib import suppress
from typing import Final

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from bench.contenders.job import EVENTS, FRAMES, GROUP, NAMES, SERVERS, TARIFFS
from processor.reducer import reduce
from processor.state import MemoryRows, Row, encode_row
from runtime.kafka import JAVA_PARTITIONER
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame
from schemas.headers import event_headers

_TIMEOUT_S: Final = 60.0


class TouchedRows(MemoryRows):
    """Rows in a dict, and which of them were set since the last transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: dict[str, Row] = {}

    def set(self, key: str, row: Row) -> None:
        """Put the row in place of the old one."""
        self.rows[key] = self.touched[key] = row


def reduced(frame: OcppFrame, rows: TouchedRows) -> list[BusinessEvent]:
    """The processor's reducer."""
    return reduce(frame, rows, TARIFFS)


def passed_over(_: OcppFrame, __: TouchedRows) -> list[BusinessEvent]:
    """The no-op reducer."""
    return []


REDUCERS: Final = {"chargelog": reduced, "none": passed_over}


def main() -> None:
    """Run until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunk", type=int, default=5000)
    parser.add_argument("--reducer", choices=REDUCERS, default="chargelog")
    arguments = parser.parse_args()
    reduce_frame = REDUCERS[arguments.reducer]
    consumer = Consumer(
        {
            "bootstrap.servers": SERVERS,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": SERVERS,
            "transactional.id": GROUP,
            "compression.type": "lz4",
            "partitioner": JAVA_PARTITIONER,
            "queue.buffering.max.messages": 0,
        }
    )
    producer.init_transactions(_TIMEOUT_S)
    consumer.subscribe([NAMES.frames])
    rows = TouchedRows()
    while True:
        first = consumer.poll(1.0)
        if first is None:
            continue
        # What is there already is taken along; nothing is waited for.
        batch = [first, *consumer.consume(arguments.chunk - 1, 0)]
        producer.begin_transaction()
        for message in batch:
            for event in reduce_frame(FRAMES.decode(_value(message)), rows):
                _produce(
                    producer,
                    NAMES.events,
                    event.client_id,
                    EVENTS.encode(event),
                    event_headers(event),
                )
        for key, row in rows.touched.items():
            _produce(producer, NAMES.connectors_changelog, key, encode_row(row), [])
        rows.touched.clear()
        ends = {message.partition(): message.offset() for message in batch}
        producer.send_offsets_to_transaction(
            [
                TopicPartition(NAMES.frames, partition or 0, (offset or 0) + 1)
                for partition, offset in ends.items()
            ],
            consumer.consumer_group_metadata(),
            _TIMEOUT_S,
        )
        producer.commit_transaction(_TIMEOUT_S)


def _produce(
    producer: Producer, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    while True:
        with suppress(BufferError):
            producer.produce(topic, value, key.encode(), headers=[*headers])
            return
        producer.poll(1.0)


def _value(message: Message) -> bytes:
    error = message.error()
    if error is not None:
        raise SystemExit(str(error))
    value = message.value()
    assert value is not None
    return value


if __name__ == "__main__":
    main()
