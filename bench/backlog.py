"""Frames put on Kafka before a contender starts, and what must come out of them."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from operator import attrgetter
from random import Random
from typing import Final, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from msgspec.structs import replace

from bench.charging import SESSION_FRAMES, fleet_frames, lives
from processor.reducer import reduce
from processor.state import MemoryRows, Row, encode_row
from processor.tariff import Tariffs
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import event_codec, frame_codec
from schemas.frames import OcppFrame
from schemas.topics import TopicNames

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.2
_ORIGINALS: Final = 1000


class Backlog:
    """A fleet's frames, encoded once and appended for each contender anew.

    Attributes:
        frames: How many there are.
    """

    def __init__(self, frames: Iterable[OcppFrame], rows: Mapping[str, Row] | None = None) -> None:
        """Encode the frames, and reduce them.

        Args:
            frames: In the order of their receipt.
            rows: What earlier frames left, by table key; put on the changelog.
        """
        self._events: dict[bytes, list[bytes]] = defaultdict(list)
        self._records: list[tuple[bytes, bytes]] = []
        self._rows = rows or {}
        state, tariffs = MemoryRows({**self._rows}), Tariffs()
        encode_frame, encode_event = frame_codec().encode, event_codec().encode
        for frame in frames:
            key = frame.client_id.encode()
            self._records.append((key, encode_frame(frame)))
            self._events[key] += map(encode_event, reduce(frame, state, tariffs))
        self.frames = len(self._records)

    @classmethod
    def of_new_fleet(cls, charge_points: int, frames: int) -> Self:
        """Of a fleet whose first frames are the log's first."""
        return cls(islice(fleet_frames(charge_points), frames))

    @classmethod
    def of_fleet_at_work(cls, charge_points: int, frames: int) -> Self:
        """Of a fleet that has been charging for a while, each charge point somewhere in a session.

        So the mix of frames is the same for 10 charge points and for 100,000. Beyond a thousand,
        charge points are doubles of others with names of their own.
        """
        dice = Random(1)  # noqa: S311 - a load's dice, not a secret
        originals = min(charge_points, _ORIGINALS)
        rows: dict[str, Row] = {}
        coming: list[OcppFrame] = []
        tariffs = Tariffs()
        for life in lives(originals):
            before = MemoryRows()
            for frame in islice(life, dice.randrange(SESSION_FRAMES, 3 * SESSION_FRAMES)):
                reduce(frame, before, tariffs)
            ahead = list(islice(life, frames // charge_points))
            for double in range(charge_points // originals):
                name = f"{ahead[0].client_id}-{double}"
                coming += [replace(frame, client_id=name) for frame in ahead]
                for key, row in before.rows.items():
                    rows[f"{key.partition('|')[0]}|{name}"] = row
        coming.sort(key=attrgetter("received_at_ns"))
        return cls(coming, rows)

    def append(self, servers: str, names: TopicNames) -> None:
        """Put the frames on their topic, and the rows on the changelog."""
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": JAVA_PARTITIONER,
                "compression.type": "lz4",
                # Without it a batch that is tried again lands behind the one after it.
                "enable.idempotence": True,
                "log_level": 3,  # a broker just started is still loading, and that is no news
                "linger.ms": 20,
                "queue.buffering.max.messages": 0,
            }
        )
        partitions: dict[str, int] = {}

        def landed(_: object, message: Message) -> None:
            partitions[(message.key() or b"").decode()] = message.partition() or 0

        for key, value in self._records:
            producer.produce(names.frames, value, key, on_delivery=landed)
            producer.poll(0)
        assert producer.flush(_TIMEOUT_S) == 0, "Kafka did not take the frames"
        for table_key, row in self._rows.items():
            # The row's partition is its charge point's.
            partition = partitions[table_key.partition("|")[2]]
            producer.produce(
                names.connectors_changelog, encode_row(row), table_key, partition=partition
            )
            producer.poll(0)
        assert producer.flush(_TIMEOUT_S) == 0, "Kafka did not take the rows"

    def check(
        self,
        servers: str,
        names: TopicNames,
        partitions: int,
        *,
        whole: bool,
        within_s: float = 60.0,
    ) -> None:
        """Compare the committed events, byte for byte and in order, with the reducer's.

        Args:
            servers: Kafka.
            names: The contender's topics.
            partitions: Their partitions.
            whole: Whether all must be there; else only the first of each charge point.
            within_s: How long they are waited for.
        """
        wanted = sum(map(len, self._events.values())) if whole else 0
        end = time.monotonic() + within_s
        got = _committed(servers, names.events, partitions)
        # The offsets' end-of-transaction marker may be readable before the events' is.
        while sum(map(len, got.values())) < wanted and time.monotonic() < end:
            time.sleep(_POLL_S)
            got = _committed(servers, names.events, partitions)
        for key, values in got.items():
            assert values == self._events[key][: len(values)], f"wrong events of {key!r}"
        missing = wanted - sum(map(len, got.values()))
        assert missing <= 0, f"{missing} events are missing"


def _committed(servers: str, topic: str, partitions: int) -> dict[bytes, list[bytes]]:
    """The committed values of each key, in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench-check",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # The end is to be told at once, not after a wait for more.
            "fetch.wait.max.ms": 10,
        }
    )
    # Otherwise librdkafka 2.16 looks for the partitions' leaders only every 500 ms.
    consumer.list_topics(topic, timeout=_TIMEOUT_S)
    consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(partitions)])
    values: dict[bytes, list[bytes]] = defaultdict(list)
    ends = 0
    while ends < partitions:
        for message in consumer.consume(10_000, 0.1):
            if message.error():
                ends += 1
                continue
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None
            values[key].append(value)
    consumer.close()
    return values
