"""A Kafka producer whose records are durable, or not confirmed within a time limit.

aiokafka with acks=all and idempotence: a record that it has taken is sent until the broker has it,
once and in order per partition. So a record that is "not confirmed" may still arrive later; what
its caller does must be right in both cases.

Keys go to the partition that the Java client would choose (murmur2): aiokafka's own partitioner.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from ingress.errors import NotDurableError
from ingress.metrics import APPEND_SECONDS, NOT_CONFIRMED
from schemas.headers import Headers

log = structlog.get_logger(__name__)

_PROBE_S: Final = 1.0
_RETRY_S: Final = 0.5
_BATCH_BYTES: Final = 128 * 1024
MAX_RECORD_BYTES: Final = 1_000_000
"""Below the broker's default limit (message.max.bytes, 1,048,588) with the batch's overhead."""


class DurableProducer:
    """Appends records; knows whether Kafka is reachable.

    Args:
        bootstrap_servers: Kafka's addresses.
        timeout_s: How long `append` waits for the confirmation.
    """

    def __init__(self, bootstrap_servers: str, timeout_s: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout_s = timeout_s
        self._producer: Any = None
        self._probe: asyncio.Task[None] | None = None
        self._unreachable: str | None = "not started"
        self._unconfirmed: str | None = None
        self._replacing = asyncio.Lock()
        self._replacements: set[asyncio.Task[None]] = set()

    @property
    def not_ready(self) -> str | None:
        """Why records can't be made durable now; None: they can."""
        return self._unreachable or self._unconfirmed

    async def start(self) -> None:
        """Connect.

        Raises:
            aiokafka.errors.KafkaConnectionError: No broker answers.
        """
        self._producer = await self._connect()
        self._unreachable = None
        self._probe = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Send what is under way, for at most the time limit, and disconnect."""
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe
        if self._producer is not None:
            await self._disconnect(self._producer)
            self._producer = None

    async def append(self, topic: str, key: bytes, value: bytes, headers: Headers) -> int:
        """Append a record; returns its offset once all in-sync replicas have it.

        Raises:
            NotDurableError: Not confirmed within the time limit.
        """
        with APPEND_SECONDS.time():
            try:
                async with asyncio.timeout(self._timeout_s):
                    future = await self._send(topic, key, value, headers)
                    # Shielded: an unconfirmed record stays under way, and clears the problem later.
                    return int((await asyncio.shield(future)).offset)
            except TimeoutError as error:
                raise self._not_durable(topic, "no confirmation from Kafka") from error
            except KafkaError as error:
                raise self._not_durable(topic, repr(error)) from error

    async def append_patiently(self, topic: str, key: bytes, value: bytes, headers: Headers) -> int:
        """As `append`, but for as long as it takes: for what its sender would not send again."""
        while True:
            try:
                future = await self._send(topic, key, value, headers)
                return int((await asyncio.shield(future)).offset)
            except (KafkaTimeoutError, KafkaError) as error:
                self._not_durable(topic, repr(error))
                await asyncio.sleep(_RETRY_S)

    async def _send(
        self, topic: str, key: bytes, value: bytes, headers: Headers
    ) -> asyncio.Future[Any]:
        producer = self._producer
        try:
            future: asyncio.Future[Any] = await producer.send(
                topic, key=key, value=value, headers=headers
            )
        except KafkaError as error:
            await self._replace_if_broken(producer, error)
            raise
        future.add_done_callback(self._settled(producer))
        return future

    def _settled(self, producer: object) -> Callable[[asyncio.Future[Any]], None]:
        def settled(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._unconfirmed = None
            else:
                log.error("a record was not delivered", error=repr(error))
                task = asyncio.ensure_future(self._replace_if_broken(producer, error))
                self._replacements.add(task)
                task.add_done_callback(self._replacements.discard)

        return settled

    async def _replace_if_broken(self, producer: object, error: BaseException) -> None:
        """After an error that ends aiokafka's sender, only a new producer can go on.

        It happens where a partition had no leader for the whole time limit: aiokafka gives the
        batch up but has counted its sequence numbers, and the broker refuses the gap.
        """
        async with self._replacing:
            if producer is not self._producer or getattr(error, "retriable", False):
                return
            log.error("replacing the Kafka producer", error=repr(error))
            try:
                # In a context of its own: what its tasks log is about no charge point.
                replacement = await asyncio.create_task(self._connect(), context=Context())
            except KafkaError as failure:
                self._unconfirmed = f"no Kafka producer: {failure!r}"
                return
            self._producer = replacement
        await self._disconnect(producer)

    async def _connect(self) -> Any:  # noqa: ANN401 - aiokafka ships no types
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _disconnect(self, producer: Any) -> None:  # noqa: ANN401 - aiokafka ships no types
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.stop()
        except TimeoutError:
            log.error("records under way at the end were not confirmed by Kafka")  # noqa: TRY400 - expected here; a traceback says no more
            await producer.client.close()

    async def _watch(self) -> None:
        """Ask for metadata once a second, so that readiness tells also without traffic."""
        while True:
            await asyncio.sleep(_PROBE_S)
            try:
                async with asyncio.timeout(self._timeout_s):
                    reached = await self._producer.client.force_metadata_update()
            except TimeoutError:
                reached = False
            if reached == (self._unreachable is not None):
                log.warning("Kafka is reachable again" if reached else "Kafka is not reachable")
            self._unreachable = None if reached else "Kafka is not reachable"

    def _not_durable(self, topic: str, reason: str) -> NotDurableError:
        NOT_CONFIRMED.labels(topic).inc()
        self._unconfirmed = f"a record for {topic} is not confirmed: {reason}"
        log.warning("record not confirmed", topic=topic, reason=reason, limit_s=self._timeout_s)
        return NotDurableError(
            f"{reason} within {self._timeout_s:g} s for a record of {topic}; is Kafka up, and do "
            "all its partitions have a leader and enough in-sync replicas?"
        )
