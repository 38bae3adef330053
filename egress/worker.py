"""Kafka → routing → MQTT, with offsets committed only behind the broker's acknowledgements."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from egress import metrics
from egress.dead_letters import DeadLetters, LogPosition
from egress.errors import RoutingError
from egress.partitions import Outgoing, Partition, Record
from egress.publisher import Publisher
from egress.records import routes
from egress.routing import traceparent_of
from egress.settings import EgressSettings
from schemas.codec import dead_letter_codec
from schemas.registry import registry_for

log = structlog.get_logger(__name__)

GROUP: Final = "chargelog-egress"

_BATCH: Final = 500
_POLL_MS: Final = 500
_FETCH_WAIT_MS: Final = 20
_HEARTBEAT_MS: Final = 1_000
"""A member learns of a rebalance from a heartbeat, so this is how long the others wait for it."""
_COMMIT_INTERVAL_S: Final = 1.0
_COMMIT_RECORDS: Final = 1_000
"""Records after which offsets are committed before the interval is over."""
MAX_UNRECORDED: Final = 4_000
"""Records that are read beyond the committed offsets at most; a killed instance repeats no more."""
_LAG_INTERVAL_S: Final = 3.0
_TICK_S: Final = 0.005
_STALL_S: Final = 5.0
_STOP_DRAIN_S: Final = 10.0
_KAFKA_TIMEOUT_S: Final = 5.0


class EgressWorker(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """One member of the consumer group."""

    def __init__(
        self, settings: EgressSettings, publisher: Publisher, *, revoke_drain_s: float = 5.0
    ) -> None:
        """Nothing is connected yet.

        Args:
            settings: Kafka's address, topic names and which streams are on.
            publisher: Running, or about to be.
            revoke_drain_s: How long a rebalance waits for acknowledgements, in seconds.
        """
        self._revoke_drain_s = revoke_drain_s
        kafka = settings.kafka.aiokafka()
        topics = settings.topics
        registry = registry_for(settings.schema_registry_url)
        self._publisher = publisher
        self._routes = routes(settings)
        self._partitions: dict[TopicPartition, Partition] = {}
        self._stalled = False
        self._commit_due = asyncio.Event()
        self._producer = AIOKafkaProducer(**kafka, acks="all", enable_idempotence=True)
        self._dead_letters = DeadLetters(
            self._producer, topics.dead_letter, dead_letter_codec(registry, topics.dead_letter)
        )
        self._consumer = AIOKafkaConsumer(
            **kafka,
            group_id=settings.topic_prefix + GROUP,
            isolation_level="read_committed",
            enable_auto_commit=False,
            # aiokafka 0.14 has one request under way to a broker, without the partitions that it
            # has just delivered (fetcher.py, _get_actions_per_node): what comes next on these
            # waits until that request has waited in vain.
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            # A new installation mirrors the whole log: nothing is skipped.
            auto_offset_reset="earliest",
        )

    async def start(self) -> None:
        """Join the consumer group; the topics must exist.

        Raises:
            KafkaError: Kafka refuses.
        """
        await self._producer.start()
        self._consumer.subscribe(list(self._routes), listener=self)
        await self._consumer.start()

    async def run(self) -> None:
        """Read and publish until cancelled.

        Raises:
            KafkaError: Kafka refuses for good, e.g. for want of authorization.
        """
        endless = (self._read(), self._commit_regularly(), self._measure_lag())
        tasks = [asyncio.create_task(each) for each in endless]
        try:
            # A worker that reads and no longer commits would come to a stop without a word.
            (ended, *_), _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = None if ended.cancelled() else ended.exception()
            raise error or RuntimeError(f"cancelled by something else: {ended}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def drain(self) -> None:
        """After `run` ended: wait for acknowledgements up to a limit, commit, leave the group."""
        await self._settle(self._partitions.values(), _STOP_DRAIN_S)
        await self._commit(self._partitions)
        unacknowledged = sum(partition.pending for partition in self._partitions.values())
        log.info("stopped reading", unacknowledged=unacknowledged)

    async def close(self) -> None:
        """Let go of Kafka."""
        await self._dead_letters.close()
        for client in (self._consumer, self._producer):
            # A task of its own: without Kafka, aiokafka's stop lets a CancelledError of an inner
            # task escape, which would pass for our own cancellation.
            stopping = asyncio.create_task(client.stop())
            await asyncio.wait({stopping}, timeout=_KAFKA_TIMEOUT_S)
            if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
                log.warning("no goodbye to Kafka: it does not answer")
                stopping.cancel()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Deliver what is under way as far as time allows, commit that, forget the rest."""
        leaving = {tp: self._partitions.pop(tp) for tp in revoked if tp in self._partitions}
        await self._settle(leaving.values(), self._revoke_drain_s)
        for partition in leaving.values():
            # From here on acknowledgements are late: the next owner begins at what is committed.
            partition.revoked = True
            metrics.LAG.remove(partition.topic, partition.number)
        self._publisher.discard_unwanted()
        await self._commit(leaving)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start from the committed offsets."""
        for tp in assigned:
            self._partitions[tp] = Partition(tp.topic, tp.partition)
            metrics.LAG.labels(tp.topic, tp.partition)
        if self._stalled:
            self._consumer.pause(*self._partitions)

    async def _read(self) -> None:
        while True:
            await self._wait_for_room()
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
            # No await from here on: a rebalance can't come between reading and submitting.
            for assigned, records in batches.items():
                self._submit(assigned, records)

    def _submit(self, assigned: TopicPartition, records: list[Any]) -> None:
        partition = self._partitions.get(assigned)
        if partition is None:
            # Revoked while the records were handed over; uncommitted, so the next owner reads them.
            return
        route = self._routes[assigned.topic]
        for record in records:
            position = LogPosition(record.topic, record.partition, record.offset, record.key)
            partition.add(record.offset)
            try:
                if record.value is None:
                    raise RoutingError("the record has no value")  # noqa: TRY301 - one way out for all
                publications = route(record.value, traceparent_of(record.headers)).publications
            except Exception as error:  # noqa: BLE001 - one bad record must never stop the stream
                self._dead_letters.put(
                    position,
                    f"{type(error).__name__}: {error}",
                    settled=partition.settle,
                    error=error,
                )
            else:
                if not publications:
                    partition.settle(record.offset)
                    continue
                parts = Record(partition, position, self._dead_letters, len(publications))
                for publication in publications:
                    self._publisher.submit(Outgoing(publication, parts))

    @property
    def unrecorded(self) -> int:
        """Records read beyond the committed offsets; at most `MAX_UNRECORDED`."""
        return sum(partition.unrecorded for partition in self._partitions.values())

    @property
    def _room(self) -> int:
        if self._dead_letters.is_full:
            return 0
        unrecorded = self.unrecorded
        if unrecorded >= _COMMIT_RECORDS:
            self._commit_due.set()
        return max(0, min(self._publisher.room, MAX_UNRECORDED - unrecorded))

    async def _wait_for_room(self) -> None:
        clock = asyncio.get_running_loop().time
        since = clock()
        while self._room < _BATCH:
            # Many things make room: acknowledgements, commits, dead letters that were written.
            await asyncio.sleep(_TICK_S)
            if clock() - since >= _STALL_S:
                since = clock()
                self._stall()
                # Keeps the membership: a consumer that never polls is put out of the group.
                await self._consumer.getmany(timeout_ms=0)
        if self._stalled:
            self._stalled = False
            self._consumer.resume(*self._partitions)
            log.info("reading from Kafka goes on")

    def _stall(self) -> None:
        if not self._stalled:
            self._stalled = True
            log.warning("reading from Kafka paused until the MQTT broker takes messages again")
        self._consumer.pause(*self._partitions)

    async def _settle(self, partitions: Iterable[Partition], limit_s: float) -> None:
        waits = [asyncio.create_task(partition.idle.wait()) for partition in partitions]
        if waits:
            _, unfinished = await asyncio.wait(waits, timeout=limit_s)
            for wait in unfinished:
                wait.cancel()

    async def _commit_regularly(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._commit_due.wait(), _COMMIT_INTERVAL_S)
            committed = await self._commit(dict(self._partitions))
            self._commit_due.clear()
            if not committed:
                await asyncio.sleep(_COMMIT_INTERVAL_S)

    async def _commit(self, partitions: dict[TopicPartition, Partition]) -> bool:
        offsets = {
            tp: offset
            for tp, partition in partitions.items()
            if (offset := partition.to_commit) is not None
        }
        settled = {tp: partitions[tp].settled for tp in offsets}
        if not offsets:
            return True
        try:
            # aiokafka would wait for a lost Kafka without end.
            await asyncio.wait_for(self._consumer.commit(offsets), _KAFKA_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            # After a rebalance the next owner publishes these again; else the next round commits.
            log.warning("offsets not committed", error=repr(error))
            return False
        for tp, offset in offsets.items():
            partitions[tp].record(offset, settled[tp])
        return True

    async def _measure_lag(self) -> None:
        while True:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_KAFKA_TIMEOUT_S):
                    ends = await self._consumer.end_offsets([*self._partitions])
                    for tp, partition in list(self._partitions.items()):
                        owed = partition.owed_from
                        if owed is None:
                            owed = await self._consumer.position(tp)
                        if not partition.revoked and tp in ends:
                            metrics.LAG.labels(tp.topic, tp.partition).set(max(0, ends[tp] - owed))
            await asyncio.sleep(_LAG_INTERVAL_S)
