"""Reads changelog partitions in bulk, from their beginning to their end.

Faust's own recovery handles a record at a time, in Python, through its streams: several times
slower (docs/benchmarks.md), and it leaves the rows of all partitions in one dict.
"""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from processor.rows import PartitionRows
from processor.state import RowError
from runtime.kafka_access import KafkaAccess
from schemas.errors import ChargelogError

_BATCH: Final = 10_000
_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02
"""`consume` waits for a full batch or this long, so it is also what the end of reading costs."""


class RestoreError(ChargelogError):
    """The changelog could not be read to its end."""


class RestoreInterruptedError(ChargelogError):
    """The partitions went elsewhere meanwhile."""


def restore(
    kafka: KafkaAccess,
    topic: str,
    partitions: Iterable[int],
    is_wanted: Callable[[], bool],
) -> Mapping[int, PartitionRows]:
    """The rows of each partition, as the last committed transaction left them. Blocks.

    Call it once no other producer can write to the partitions: what is appended behind the end
    that was seen would be missing.

    Args:
        kafka: Where Kafka is.
        topic: The changelog.
        partitions: Which of it.
        is_wanted: Asked between batches; False gives up.

    Raises:
        RestoreError: Kafka fails or says nothing for a minute.
        RestoreInterruptedError: It is not wanted any more.
        RowError: A key is no text.
    """
    rows = {number: PartitionRows() for number in partitions}
    if not rows:
        return rows
    consumer = Consumer(
        {
            **kafka.librdkafka(),
            # librdkafka wants a group even where none is joined and nothing is committed.
            "group.id": "chargelog-processor-restore",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            # Nothing is appended while this reads: its end need not be waited for.
            "fetch.wait.max.ms": 10,
            # Rows are small, their number is not: let the fetcher run ahead of the loop.
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 64 * 1024,
        }
    )
    try:
        # librdkafka 2.16 looks every 500 ms whether it knows the partitions' leader by now.
        consumer.list_topics(topic, timeout=_TIMEOUT_S)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in rows])
        _read(consumer, topic, rows, is_wanted)
    except KafkaException as error:
        raise RestoreError(f"{topic} can't be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return rows


def _read(
    consumer: Consumer,
    topic: str,
    rows: Mapping[int, PartitionRows],
    is_wanted: Callable[[], bool],
) -> None:
    unfinished = set(rows)
    heard, trouble = monotonic(), "Kafka says nothing"
    while unfinished:
        if not is_wanted():
            raise RestoreInterruptedError(f"{topic}: the partitions went to another worker")
        if monotonic() - heard > _TIMEOUT_S:
            raise RestoreError(f"{topic} {sorted(unfinished)} can't be read to the end: {trouble}")
        for message in consumer.consume(_BATCH, _POLL_S):
            error = message.error()
            partition = cast("int", message.partition())  # None is for records to be produced
            if error is None:
                rows[partition].restore(_key(message, topic), message.value())
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
                unfinished.discard(partition)
            else:
                trouble = error.str()  # a broker that is away, perhaps: librdkafka tries on
                continue
            heard = monotonic()


def _key(message: Message, topic: str) -> str:
    key = message.key() or b""
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise RowError(
            f"{topic} {message.partition()} holds at offset {message.offset()} a record whose key "
            f"{key!r} is no row's. Was the changelog written by another program? Delete it to "
            "rebuild the state from the frames."
        ) from error
