"""What happens at the seams: a partition changes hands while a chunk is under way."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from confluent_kafka import Producer
from processor_kit import EVENTS, Kafka, eventually, fold, history, read

from processor.app import KafkaBacking
from processor.chunk import ChunkResult, reduce_chunk
from processor.partitions import Assignment
from processor.rows import PartitionRows
from processor.sequence import Fetched, SourceRecord
from processor.settings import ProcessorSettings
from processor.tariff import Tariffs
from processor.writer import FencedError, Outcome, TransactionalWriter
from schemas.codec import dead_letter_codec, frame_codec
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration

PARTITIONS = 4  # as processor_kit.read expects
PARTITION = 2
FRAMES = frame_codec()
HISTORY = history(charge_points=1, sessions=4)
RECORDS = [
    SourceRecord("ocpp.frames", PARTITION, offset, 0, 0, b"CP0", FRAMES.encode(one))
    for offset, one in enumerate(HISTORY)
]
EXPECTED = [EVENTS.encode(event) for event in fold(HISTORY)[0]]


@pytest.fixture
def names(kafka: Kafka, topic_prefix: str) -> TopicNames:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    return names


def backing(kafka: Kafka, names: TopicNames) -> KafkaBacking:
    settings = ProcessorSettings(
        _env_file=None,
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=names.prefix,
        partitions=PARTITIONS,
    )
    return KafkaBacking(settings, Outcome(names, EVENTS, dead_letter_codec()))


def reduce(records: Sequence[SourceRecord], rows: PartitionRows) -> ChunkResult:
    return reduce_chunk(records, rows.get, Tariffs(), FRAMES)


def events(kafka: Kafka, names: TopicNames) -> list[bytes]:
    return [value for _, value in read(kafka, names.events)]


def fetched(start: int, end: int) -> Fetched:
    return Fetched(PARTITION, start, RECORDS[start:end])


class Held:
    """A reducer that waits in the middle of a chunk until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, records: Sequence[SourceRecord], rows: PartitionRows) -> ChunkResult:
        self.begun.set()
        assert self.go_on.wait(60)
        return reduce(records, rows)


def worker(
    kafka: Kafka,
    names: TopicNames,
    reducer: Held | None = None,
    failures: list[BaseException] | None = None,
) -> Assignment:
    def fail(error: BaseException) -> None:
        if failures is None:
            pytest.fail(f"the worker ended: {error!r}")
        failures.append(error)

    return Assignment(backing(kafka, names), reducer or reduce, chunk_frames=5, fail=fail)


async def hold(assignment: Assignment, generation: int) -> None:
    await assignment.hold({PARTITION}, generation, lambda: True)


async def test_a_partition_revoked_while_a_chunk_is_in_flight_is_left_with_the_chunk_written(
    kafka: Kafka, names: TopicNames
) -> None:
    held = Held()
    old, new = worker(kafka, names, held), worker(kafka, names)
    await hold(old, 1)
    old.take(fetched(0, 5))
    await asyncio.to_thread(held.begun.wait, 60)
    old.take(fetched(5, 9))  # fetched, not begun: the next owner's
    revoked = asyncio.create_task(old.settle())
    await asyncio.sleep(0.3)
    assert not revoked.done()
    old.take(fetched(9, 12))  # delivered late: not taken
    held.go_on.set()
    await revoked
    await hold(new, 2)
    assert new.held[PARTITION].next_offset == 5
    new.take(fetched(5, 12))
    await asyncio.to_thread(
        eventually, lambda: len(events(kafka, names)) >= len(EXPECTED), "all events"
    )
    await new.settle()
    assert events(kafka, names) == EXPECTED


async def test_a_worker_that_lost_its_partition_in_the_middle_of_a_chunk_is_fenced(
    kafka: Kafka, names: TopicNames
) -> None:
    held, failures = Held(), list[BaseException]()
    zombie, new = worker(kafka, names, held, failures), worker(kafka, names)
    await hold(zombie, 1)
    zombie.take(fetched(0, 5))
    await asyncio.to_thread(held.begun.wait, 60)
    await hold(new, 2)  # while the other one hangs, as after SIGSTOP
    new.take(fetched(0, 12))
    held.go_on.set()
    await asyncio.to_thread(eventually, lambda: bool(failures), "the zombie ended")
    assert [type(failure) for failure in failures] == [FencedError]
    await asyncio.to_thread(
        eventually, lambda: len(events(kafka, names)) >= len(EXPECTED), "all events"
    )
    await new.settle()
    assert events(kafka, names) == EXPECTED
    assert dict(read(kafka, names.connectors_changelog)) == fold(HISTORY)[1]


async def test_a_partition_that_stays_is_kept_and_one_that_missed_a_generation_is_read_again(
    kafka: Kafka, names: TopicNames
) -> None:
    assignment = worker(kafka, names)
    await hold(assignment, 1)
    kept = assignment.held[PARTITION]
    assignment.confirm({PARTITION}, 2)
    await hold(assignment, 2)
    assert assignment.held[PARTITION] is kept
    assignment.confirm({PARTITION}, 4)
    await hold(assignment, 4)
    assert assignment.held[PARTITION] is not kept
    await assignment.hold(set(), 5, lambda: True)
    assert not assignment.held


def test_a_fenced_producer_writes_nothing_more_and_leaves_nothing_open(
    kafka: Kafka, names: TopicNames
) -> None:
    source = backing(kafka, names)
    first, crashed, second = (source.writer(PARTITION) for _ in range(3))
    rows = PartitionRows()
    first.open()
    result = reduce(RECORDS[:6], rows)
    first.write(result, 6)
    rows.update(result.rows)
    crashed.open()
    leave_unfinished(crashed, names)
    second.open()
    with pytest.raises(FencedError, match=f"{names.frames}-{PARTITION}"):
        first.write(reduce(RECORDS[6:], rows), 12)
    assert source.committed([PARTITION]) == {PARTITION: 6}
    second.write(reduce(RECORDS[6:], rows), 12)
    assert source.committed([PARTITION]) == {PARTITION: 12}
    # Neither hidden behind the crashed one's transaction nor beside its records.
    assert events(kafka, names) == EXPECTED


def leave_unfinished(writer: object, names: TopicNames) -> None:
    """Leave a record on the events topic that is neither committed nor aborted."""
    assert isinstance(writer, TransactionalWriter)
    producer: Producer = writer._producer  # noqa: SLF001 - as a crash would leave it
    producer.begin_transaction()
    producer.produce(names.events, b"unfinished", b"CP0", partition=PARTITION)
    assert producer.flush(60) == 0
