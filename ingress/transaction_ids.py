"""transactionIds for OCPP 1.6, given by a Kafka log.

A request is a record on a topic with a single partition, and its id is offset + 1 of the *first*
record with the same fingerprint. Kafka orders the records, so every instance that reads the topic
comes to the same ids: after restarts, for a StartTransaction that is sent again, and for one that
is sent again to another instance. Ids start at 1: 0 and -1 mean "no transaction" to some firmware.

An instance reads the topic from its start, and answers a request once it has read past the record
that it wrote for it. What it holds is 32 bytes and an offset for each StartTransaction within the
topic's retention.
"""

import asyncio
import contextlib
import heapq
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ingress.durable import DurableProducer
from ingress.errors import NotDurableError
from runtime.kafka_access import KafkaAccess
from schemas.codec import Codec
from schemas.records import TransactionIdRequest

log = structlog.get_logger(__name__)

_POLL_MS: Final = 1000
_RETRY_S: Final = 0.5


class FirstOffsets:
    """The fold over the topic: fingerprint → offset of its first record.

    Attributes:
        position: Offset of the record that is read next.
    """

    def __init__(self) -> None:
        self.position = 0
        self._first: dict[bytes, int] = {}

    def record(self, key: bytes, offset: int) -> None:
        """Take the next record; one that was seen already (after a rewind) changes nothing."""
        self._first.setdefault(key, offset)
        self.position = max(self.position, offset + 1)

    def transaction_id(self, key: bytes) -> int | None:
        """The id for a fingerprint, or None if no record had it so far."""
        offset = self._first.get(key)
        return None if offset is None else offset + 1


class TransactionIds:
    """Asks for ids and follows the topic.

    Args:
        producer: Writes the requests.
        kafka: Where Kafka is.
        topic: Full name of the single-partition topic.
        codec: Requests ⇄ bytes.
        timeout_s: How long `assign` waits.
    """

    def __init__(
        self,
        producer: DurableProducer,
        *,
        kafka: KafkaAccess,
        topic: str,
        codec: Codec[TransactionIdRequest],
        timeout_s: float,
    ) -> None:
        self._producer = producer
        self._kafka = kafka
        self._partition = TopicPartition(topic, 0)
        self._codec = codec
        self._timeout_s = timeout_s
        self._offsets = FirstOffsets()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._asked = 0
        self._end_at_start = 0
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def not_ready(self) -> str | None:
        """Why ids can't be given yet; None: they can."""
        behind = self._end_at_start - self._offsets.position
        if self._task is None or behind > 0:
            return f"reading {self._partition.topic}: {max(behind, 0)} records to go"
        if self._task.done():
            return f"reading {self._partition.topic} has stopped"
        return None

    async def start(self) -> None:
        """Begin to read the topic; `not_ready` tells when its end as of now has been reached.

        Raises:
            aiokafka.errors.KafkaError: No broker answers, or there is no such topic.
        """
        self._consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(self._timeout_s * 1000) + _POLL_MS,
        )
        await self._consumer.start()
        self._consumer.assign([self._partition])
        begin = (await self._consumer.beginning_offsets([self._partition]))[self._partition]
        self._end_at_start = (await self._consumer.end_offsets([self._partition]))[self._partition]
        self._offsets.position = begin
        self._consumer.seek(self._partition, begin)
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            # aiokafka's stop() ends with the CancelledError of its own fetch task, and leaves its
            # client open, when a broker is unreachable at that moment; a task keeps that apart
            # from a cancellation of ours.
            stopping = asyncio.create_task(self._consumer.stop())
            await asyncio.wait({stopping})
            if stopping.cancelled():
                await self._consumer._client.close()  # noqa: SLF001 - stop() can't be called twice
            else:
                stopping.result()

    async def assign(self, request: TransactionIdRequest) -> int:
        """The request's transactionId, the same for equal requests wherever and whenever made.

        Raises:
            NotDurableError: Kafka did not confirm the request, or reading did not get past it,
                within the limit. Asking again is safe.
        """
        key = bytes.fromhex(request.fingerprint())
        # The first record of a fingerprint never changes, so what is known needs no new record.
        known = self._offsets.transaction_id(key)
        if known is not None:
            return known
        offset = await self._producer.append(
            self._partition.topic, request.fingerprint().encode(), self._codec.encode(request), []
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._read_past(offset)
        except TimeoutError as error:
            raise NotDurableError(
                f"{self._partition.topic} could not be read up to offset {offset} within "
                f"{self._timeout_s:g} s"
            ) from error
        assigned = self._offsets.transaction_id(key)
        if assigned is None:
            raise NotDurableError(f"{self._partition.topic} does not hold record {offset}")
        return assigned

    async def _read_past(self, offset: int) -> None:
        if self._offsets.position > offset:
            return
        reached = asyncio.get_running_loop().create_future()
        # The number in the middle keeps the heap from comparing futures.
        self._asked += 1
        heapq.heappush(self._waiting, (offset, self._asked, reached))
        await reached

    async def _follow(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                log.warning("reading transaction ids", error=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            for record in fetched.get(self._partition, ()):
                self._offsets.record(_fingerprint(record.key), record.offset)
            while self._waiting and self._waiting[0][0] < self._offsets.position:
                _, _, reached = heapq.heappop(self._waiting)
                if not reached.done():
                    reached.set_result(None)


def _fingerprint(key: bytes | None) -> bytes:
    try:
        return bytes.fromhex((key or b"").decode())
    except ValueError:
        # Not written by an ingress: it takes up an offset, and answers no request.
        log.warning("foreign record among the transaction ids", key=repr(key))
        return b""
