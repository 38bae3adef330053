"""Frames put on Kafka before a contender starts, and what must come out of them."""

from collections import defaultdict
from itertools import islice
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.charging import fleet_frames
from processor.reducer import reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import event_codec, frame_codec
from schemas.topics import TopicNames

_TIMEOUT_S: Final = 60.0


class Backlog:
    """A fleet's frames, encoded once and appended for each contender anew.

    Attributes:
        frames: How many there are.
    """

    def __init__(self, charge_points: int, frames: int) -> None:
        self.frames = frames
        self._events: dict[bytes, list[bytes]] = defaultdict(list)
        self._records: list[tuple[bytes, bytes]] = []
        rows, tariffs = MemoryRows(), Tariffs()
        encode_frame, encode_event = frame_codec().encode, event_codec().encode
        for frame in islice(fleet_frames(charge_points), frames):
            key = frame.client_id.encode()
            self._records.append((key, encode_frame(frame)))
            self._events[key] += map(encode_event, reduce(frame, rows, tariffs))

    def append(self, servers: str, names: TopicNames) -> None:
        """Put the frames on their topic."""
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": JAVA_PARTITIONER,
                "compression.type": "lz4",
                # Without it a batch that is tried again lands behind the one after it.
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 0,
            }
        )
        for key, value in self._records:
            producer.produce(names.frames, value, key)
            producer.poll(0)
        assert producer.flush(_TIMEOUT_S) == 0, "Kafka did not take the frames"

    def check(self, servers: str, names: TopicNames, partitions: int, *, whole: bool) -> None:
        """Compare the committed events, byte for byte and in order, with the reducer's.

        Args:
            servers: Kafka.
            names: The contender's topics.
            partitions: Their partitions.
            whole: Whether all must be there; else only the first of each charge point.
        """
        got: dict[bytes, list[bytes]] = defaultdict(list)
        for key, value in _committed(servers, names.events, partitions):
            got[key].append(value)
        for key, values in got.items():
            assert values == self._events[key][: len(values)], f"wrong events of {key!r}"
        missing = sum(map(len, self._events.values())) - sum(map(len, got.values()))
        assert not whole or not missing, f"{missing} events are missing"


def _committed(servers: str, topic: str, partitions: int) -> list[tuple[bytes, bytes]]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench-check",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(partitions)])
    records = []
    ends = 0
    while ends < partitions:
        for message in consumer.consume(10_000, 1.0):
            if message.error():
                ends += 1
                continue
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None
            records.append((key, value))
    consumer.close()
    return records
