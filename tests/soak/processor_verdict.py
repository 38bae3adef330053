"""The independent verifier: what the frames must have come to, against what is on the topics.

Nothing of the worker's own path is used but the reducer and the codecs. Reads read_committed.
"""

import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from processor.reducer import IndigestibleFrameError, reduce
from processor.state import CHARGE_POINT, ChargePointRow, MemoryRows, encode_row, row_key
from processor.tariff import Tariffs
from schemas.codec import dead_letter_codec, event_codec, frame_codec
from schemas.errors import CodecError
from schemas.headers import event_headers
from schemas.topics import TopicNames

_SILENCE_S: Final = 30.0

_FRAMES: Final = frame_codec()
_EVENTS: Final = event_codec()
_LETTERS: Final = dead_letter_codec()


class Entry(msgspec.Struct, frozen=True):
    """One record of an output topic.

    Attributes:
        identity: What makes it the same record again; unique among the expected.
        content: Everything that must be equal.
    """

    identity: Hashable
    content: Any


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How a partition's records differ from the expected ones; all 0 is a pass."""

    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    different: int = 0
    unexpected: int = 0

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


def compare(expected: Sequence[Entry], got: Iterable[Entry]) -> Difference:
    """Every record once, as it must be, in the order in which it must be.

    Args:
        expected: Of one partition, in order.
        got: What is there, in the order of the offsets.
    """
    places = {entry.identity: place for place, entry in enumerate(expected)}
    assert len(places) == len(expected), "the fold gives one identity twice"
    seen: Counter[Hashable] = Counter()
    out_of_order = different = unexpected = 0
    furthest = -1
    for entry in got:
        place = places.get(entry.identity)
        if place is None:
            unexpected += 1
            continue
        seen[entry.identity] += 1
        different += entry.content != expected[place].content
        if seen[entry.identity] == 1:
            out_of_order += place < furthest
            furthest = max(furthest, place)
    return Difference(
        lost=len(places) - len(seen),
        duplicated=seen.total() - len(seen),
        out_of_order=out_of_order,
        different=different,
        unexpected=unexpected,
    )


class Fold(msgspec.Struct):
    """What one partition's frames come to.

    Attributes:
        frames: How many records there are, readable or not.
        events: In order.
        letters: Dead letters, by the offset of their frame.
        rows: The state at the end.
    """

    frames: int
    events: list[Entry]
    letters: list[Entry]
    rows: MemoryRows


def fold(messages: Iterable[Message]) -> Fold:
    """Reduce one partition's records, one after the other."""
    result = Fold(0, [], [], MemoryRows())
    for message in messages:
        result.frames += 1
        try:
            events = reduce(_FRAMES.decode(message.value() or b""), result.rows, Tariffs())
        except (CodecError, IndigestibleFrameError):
            result.letters.append(Entry(message.offset(), message.key()))
            continue
        for event in events:
            content = (event.client_id.encode(), _EVENTS.encode(event), event_headers(event))
            result.events.append(Entry((event.client_id, event.event_id), content))
    return result


def events_on(messages: Iterable[Message]) -> Iterator[Entry]:
    """The records of the events topic."""
    for message in messages:
        value = message.value() or b""
        event = _EVENTS.decode(value)
        yield Entry((event.client_id, event.event_id), (message.key(), value, message.headers()))


def letters_on(messages: Iterable[Message]) -> Iterator[Entry]:
    """The records of the dead letter topic."""
    for message in messages:
        yield Entry(_LETTERS.decode(message.value() or b"").offset, message.key())


def rows_on(messages: Iterable[Message]) -> dict[str, bytes]:
    """The last value of each row on the changelog."""
    rows: dict[str, bytes] = {}
    for message in messages:
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    return rows


def rows_that_differ(rows: MemoryRows, changelog: dict[str, bytes]) -> int:
    """Rows that are missing, too many or not as they must be."""
    expected = {key: encode_row(row) for key, row in rows.rows.items()}
    keys = expected.keys() | changelog.keys()
    return sum(expected.get(key) != changelog.get(key) for key in keys)


def answer_for(client_id: str, rows: MemoryRows) -> dict[str, Any]:
    """What /charge-points/{client_id} must say."""
    row = rows.get(row_key(client_id, CHARGE_POINT))
    assert isinstance(row, ChargePointRow)
    connectors = {str(number): rows.get(row_key(client_id, number)) for number in row.connectors}
    return {
        "clientId": client_id,
        "chargePoint": orjson.loads(encode_row(row)),
        "connectors": {
            number: orjson.loads(encode_row(connector))
            for number, connector in connectors.items()
            if connector is not None
        },
        "evses": {},  # the load speaks OCPP 1.6
    }


def read(bootstrap_servers: str, topic: str, partition: int) -> Iterator[Message]:
    """Every committed record of the partition, to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "soak-verifier",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # The end is to be told at once, not after a wait for more.
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        # Otherwise librdkafka 2.16 looks for the partition's leader only every 500 ms.
        consumer.list_topics(topic, timeout=_SILENCE_S)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        heard = time.monotonic()
        while True:
            messages = consumer.consume(5000, 0.1)
            heard = time.monotonic() if messages else heard
            silence = time.monotonic() - heard
            assert silence < _SILENCE_S, f"{topic} {partition}: neither a record nor the end"
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                    return
    finally:
        consumer.close()


class Verdict(msgspec.Struct):
    """The sum over all partitions.

    Attributes:
        rows_different: Rows of the changelog that are not as the fold has them.
        charge_points: The state of each as the fold has it, as the worker must answer.
    """

    frames: int = 0
    events: int = 0
    dead_letters: int = 0
    event_difference: Difference = Difference()
    letter_difference: Difference = Difference()
    rows_different: int = 0
    charge_points: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


def verify(bootstrap_servers: str, names: TopicNames, partitions: int) -> Verdict:
    """Fold every frame and compare with everything that was written."""
    verdict = Verdict()
    for partition in range(partitions):

        def on(topic: str, partition: int = partition) -> Iterator[Message]:
            return read(bootstrap_servers, topic, partition)

        expected = fold(on(names.frames))
        verdict.frames += expected.frames
        verdict.events += len(expected.events)
        verdict.dead_letters += len(expected.letters)
        verdict.event_difference += compare(expected.events, events_on(on(names.events)))
        verdict.letter_difference += compare(expected.letters, letters_on(on(names.dead_letter)))
        verdict.rows_different += rows_that_differ(
            expected.rows, rows_on(on(names.connectors_changelog))
        )
        own = row_key("", CHARGE_POINT)
        for key in expected.rows.rows:
            if key.startswith(own):
                client_id = key.removeprefix(own)
                verdict.charge_points[client_id] = answer_for(client_id, expected.rows)
    return verdict
