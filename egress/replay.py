"""Publish a part of the log again: bounded, in the order of time, beside the live egress.

Nothing of the live egress is touched: the reader belongs to no consumer group and commits nothing.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient

from egress.errors import ReplayError
from egress.publisher import Publisher
from egress.records import Route
from egress.routing import Publication, traceparent_of
from egress.watermark import Watermark
from runtime.kafka_access import KafkaAccess

log = structlog.get_logger(__name__)

_BATCH: Final = 500
_POLL_MS: Final = 500
_SETTLE_S: Final = 10.0
_METADATA_S: Final = 10.0


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What is published again, and how fast.

    Attributes:
        from_us: Records of this time (Unix microseconds) and later; None: from the beginning.
        to_us: Records before this time; None: up to the log's end when the replay began.
        offsets: Where set, only these partitions, from these offsets on.
        charge_points: Where set, only records of these identities.
        pace: 1: as fast as it happened, 60: an hour in a minute, 0: as fast as it goes.
    """

    from_us: int | None = None
    to_us: int | None = None
    offsets: Mapping[tuple[str, int], int] = {}
    charge_points: frozenset[str] = frozenset()
    pace: float = 0.0

    def has(self, time_us: int) -> bool:
        """Whether a record of this time belongs to it."""
        return (self.from_us is None or time_us >= self.from_us) and (
            self.to_us is None or time_us < self.to_us
        )


class Outcome(msgspec.Struct, rename="camel"):
    """What became of it.

    Attributes:
        published: Publications that the broker acknowledged.
        skipped: Records outside the span, of other charge points, or filtered out.
        unreadable: Records that can't be decoded or routed.
        refused: Publications that the broker will never take.
        complete: False where it was stopped before the end.
        next_offsets: (topic, partition, offset) of the first record that is not settled.
    """

    published: int = 0
    skipped: int = 0
    unreadable: int = 0
    refused: int = 0
    complete: bool = False
    next_offsets: list[tuple[str, int, int]] = []


class _Source:
    """One partition: its records up to the end, and how far they are settled."""

    def __init__(self, tp: TopicPartition, start: int, end: int) -> None:
        self.tp = tp
        self.end = end
        self.start = start
        self.done = start >= end
        self.buffer: deque[Any] = deque()
        self.watermark = Watermark()

    @property
    def next_offset(self) -> int:
        """Where a later replay goes on."""
        position = self.watermark.position
        return self.start if position is None else position


class Replay:
    """One run."""

    def __init__(
        self,
        kafka: KafkaAccess,
        routes: Mapping[str, Route],
        publisher: Publisher,
        span: Span,
        *,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            kafka: Where Kafka is.
            routes: Topics that are read, and what is published of their records.
            publisher: Running.
            span: What is published again.
            progress: Told the number of records done and their total.
        """
        self._kafka = kafka
        self._routes = routes
        self._publisher = publisher
        self._span = span
        self._progress = progress
        self._began: tuple[float, int] | None = None
        self._outcome = Outcome()
        self._submitted = 0
        self._sources: list[_Source] = []
        self._consumer = AIOKafkaConsumer(
            **kafka.aiokafka(),
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def run(self, stop: asyncio.Event) -> Outcome:
        """Publish everything, or until `stop` is set.

        Raises:
            ReplayError: A topic or partition does not exist.
            KafkaError: Kafka refuses.
        """
        publishing = asyncio.create_task(self._publish_all())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({publishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                publishing.result()
                self._outcome.complete = True
            else:
                publishing.cancel()
                await asyncio.wait({publishing})
                await self._settle(_SETTLE_S)
        finally:
            stopping.cancel()
            await self._consumer.stop()
        self._outcome.next_offsets = [
            (source.tp.topic, source.tp.partition, source.next_offset)
            for source in self._sources
            if source.next_offset < source.end
        ]
        return self._outcome

    async def _publish_all(self) -> None:
        await self._consumer.start()
        self._sources = await self._find_sources()
        total = sum(max(0, source.end - source.start) for source in self._sources)
        heads: list[tuple[int, int, Any]] = []
        for number in range(len(self._sources)):
            await self._push_next(heads, number)
        done = 0
        while heads:
            time_us, number, (record, publications) = heapq.heappop(heads)
            await self._until(time_us)
            while not self._publisher.room:
                await self._publisher.wait_for_room()
            self._submit(self._sources[number], record.offset, publications)
            await self._push_next(heads, number)
            done += 1
            if not done % _BATCH:
                self._progress(self._position(), total)
                # Publications of one turn of the loop go out together; now is their turn.
                await asyncio.sleep(0)
        await self._settle(None)
        self._progress(total, total)

    def _position(self) -> int:
        return sum(
            (source.buffer[0].offset if source.buffer else source.end) - source.start
            for source in self._sources
        )

    async def _push_next(self, heads: list[tuple[int, int, Any]], number: int) -> None:
        """Put the next record of a partition that is to be published on the heap."""
        source = self._sources[number]
        route = self._routes[source.tp.topic]
        while (record := await self._next_record(source)) is not None:
            source.watermark.add(record.offset)
            if self._span.charge_points and _identity(record.key) not in self._span.charge_points:
                self._skip(source, record.offset)
                continue
            try:
                routed = route(record.value or b"", traceparent_of(record.headers))
            except Exception as error:  # noqa: BLE001 - one bad record must never stop the replay
                log.warning(
                    "record can't be published",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    reason=f"{type(error).__name__}: {error}",
                )
                self._outcome.unreadable += 1
                source.watermark.settle(record.offset)
                continue
            if not routed.publications or not self._span.has(routed.time_us):
                self._skip(source, record.offset)
                continue
            heapq.heappush(heads, (routed.time_us, number, (record, routed.publications)))
            return

    def _skip(self, source: _Source, offset: int) -> None:
        self._outcome.skipped += 1
        source.watermark.settle(offset)

    async def _next_record(self, source: _Source) -> Any | None:  # noqa: ANN401 - aiokafka is untyped
        while not source.buffer and not source.done:
            # Transaction markers at the end are no records, but they move the position.
            source.done = await self._consumer.position(source.tp) >= source.end
            if not source.done:
                batch = await self._consumer.getmany(
                    source.tp, timeout_ms=_POLL_MS, max_records=_BATCH
                )
                source.buffer.extend(
                    record for record in batch.get(source.tp, ()) if record.offset < source.end
                )
        return source.buffer.popleft() if source.buffer else None

    def _submit(self, source: _Source, offset: int, publications: tuple[Publication, ...]) -> None:
        self._submitted += len(publications)
        parts = _Parts(self._outcome, source.watermark, offset, len(publications))
        for publication in publications:
            self._publisher.submit(_Delivery(publication, parts))

    async def _until(self, time_us: int) -> None:
        """Wait for a record's turn."""
        if not self._span.pace:
            return
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now, time_us
        began, first_us = self._began
        delay = began + (time_us - first_us) / 1e6 / self._span.pace - now
        if delay > 0:
            await asyncio.sleep(delay)

    async def _settle(self, limit_s: float | None) -> None:
        try:
            async with asyncio.timeout(limit_s):
                while self._outcome.published + self._outcome.refused < self._submitted:  # noqa: ASYNC110 - the publications' callbacks change it
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("not everything was acknowledged; it is among what is left")

    async def _find_sources(self) -> list[_Source]:
        consumer, span = self._consumer, self._span
        counts = await asyncio.to_thread(_partition_counts, self._kafka, list(self._routes))
        partitions = [
            TopicPartition(topic, number)
            for topic, count in counts.items()
            for number in range(count)
        ]
        if span.offsets:
            chosen = [TopicPartition(*place) for place in span.offsets]
            for tp in chosen:
                if tp not in partitions:
                    raise ReplayError(f"{tp.topic}:{tp.partition} is not read, or does not exist")
            partitions = chosen
        consumer.assign(partitions)
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = dict(first)
        if span.from_us is not None:
            # A record is appended after its own time, so none that is wanted lies before.
            found = await consumer.offsets_for_times(
                {tp: max(0, span.from_us // 1000) for tp in partitions}
            )
            starts = {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
        for (topic, number), offset in span.offsets.items():
            tp = TopicPartition(topic, number)
            starts[tp] = max(offset, first[tp])
        for tp in partitions:
            consumer.seek(tp, starts[tp])
        return [_Source(tp, starts[tp], ends[tp]) for tp in partitions]


class _Parts:
    """One record's publications."""

    __slots__ = ("_left", "_offset", "_outcome", "_watermark")

    def __init__(self, outcome: Outcome, watermark: Watermark, offset: int, left: int) -> None:
        self._outcome = outcome
        self._watermark = watermark
        self._offset = offset
        self._left = left

    def settled(self, *, published: bool) -> None:
        if published:
            self._outcome.published += 1
        else:
            self._outcome.refused += 1
        self._left -= 1
        if not self._left:
            self._watermark.settle(self._offset)


class _Delivery:
    """One publication; `egress.publisher.Delivery`."""

    __slots__ = ("_parts", "publication")

    wanted: Final = True

    def __init__(self, publication: Publication, parts: _Parts) -> None:
        self.publication = publication
        self._parts = parts

    def acknowledged(self) -> None:
        self._parts.settled(published=True)

    def refused(self, reason: str) -> None:
        log.warning(
            "the MQTT broker refuses a message", topic=self.publication.topic, reason=reason
        )
        self._parts.settled(published=False)


def _partition_counts(kafka: KafkaAccess, topics: list[str]) -> dict[str, int]:
    known = AdminClient(kafka.librdkafka()).list_topics(timeout=_METADATA_S).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise ReplayError(f"there is no Kafka topic {', '.join(missing)}")
    return {topic: len(known[topic].partitions) for topic in topics}


def _identity(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="replace")
