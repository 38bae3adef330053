"""A Kafka producer whose records are durable, or not confirmed within a time limit.

librdkafka with acks=all, idempotence and no delivery timeout of its own: a record that it has taken
is sent until the broker has it, once and in order per partition. So a record that is "not
confirmed" may still arrive later; what its caller does must be right in both cases.

Everything happens on the event loop's thread: librdkafka sends and receives on threads of its own,
and `poll` brings what was confirmed. A thread that polls would compete for the interpreter instead.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final, TypeAlias, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingress.errors import NotDurableError
from ingress.metrics import APPEND_SECONDS, NOT_CONFIRMED
from runtime.kafka import JAVA_PARTITIONER
from runtime.kafka_access import KafkaAccess
from schemas.headers import Headers

log = structlog.get_logger(__name__)

LOGGER: Final = "librdkafka.producer"
"""Name of the standard library's logger that librdkafka's own lines go to."""

_PROBE_S: Final = 1.0
_RETRY_S: Final = 0.5
_POLL_S: Final = 0.001
_AWAY_POLL_S: Final = 0.02
_IDLE_POLL_S: Final = 0.5
"""Between polls while nothing is on its way: for librdkafka's errors and log lines."""
_PATIENCE: Final = 200
"""Polls without a confirmation until it is taken that Kafka is away."""
_LINGER_MS: Final = 2
_BUFFER_KB: Final = 64 * 1024
"""Records that Kafka has not confirmed, in all; beyond it a new one is refused at once."""
MAX_RECORD_BYTES: Final = 1_000_000
"""Below the broker's default limit (message.max.bytes, 1,048,588) with the batch's overhead."""

Settled: TypeAlias = Callable[[int | NotDurableError], None]
"""Called with a record's offset or with why it is not durable; must not raise."""


class DurableProducer:
    """Appends records; knows whether Kafka is reachable.

    Args:
        kafka: Where Kafka is.
        timeout_s: How long `append` waits for the confirmation.
        probe_topic: A topic whose metadata is asked for once a second, so that `not_ready` tells
            also without traffic.
    """

    def __init__(self, kafka: KafkaAccess, timeout_s: float, probe_topic: str) -> None:
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._probe_topic = probe_topic
        self._producer: Producer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unreachable: str | None = "not started"
        self._unconfirmed: str | None = None
        self._fatal: KafkaError | None = None
        self._settled = 0
        self._limited: deque[_Record] = deque()
        self._under_way = asyncio.Event()

    @property
    def not_ready(self) -> str | None:
        """Why records can't be made durable now; None: they can."""
        return self._unreachable or self._unconfirmed

    async def start(self) -> None:
        """Connect.

        Raises:
            confluent_kafka.KafkaException: No broker answers.
        """
        self._producer = self._connect()
        await asyncio.to_thread(self._reach, self._producer)
        self._unreachable = None
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """Send what is under way, for at most the time limit, and disconnect."""
        producer = self._producer
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    while len(producer):  # noqa: ASYNC110 - librdkafka tells by `poll` only
                        await asyncio.sleep(_POLL_S)
            if len(producer):
                log.error("records under way at the end were not confirmed by Kafka")
                producer.purge()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        if producer is not None:
            producer.poll(0)
            self._producer = None

    def append_then(  # noqa: PLR0913 - a record's parts, and what to do once it is settled
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers,
        settled: Settled,
        *,
        limited: bool = True,
    ) -> None:
        """Append a record; `settled` is called with its offset once all in-sync replicas have it.

        Or with a NotDurableError: not confirmed within the time limit (where it is `limited`), or
        refused. A refusal may come before this returns.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("the producer is not started")
        record = _Record(topic, settled, monotonic())
        if limited:
            self._limited.append(record)
        delivered = partial(self._delivered, record)
        try:
            # A cast: confluent-kafka's annotation asks for a list that it could write to.
            producer.produce(topic, value, key, on_delivery=delivered, headers=cast("Any", headers))
        except BufferError:
            self._give_up(record, f"{_BUFFER_KB} KiB await confirmation")
        except KafkaException as error:
            self._give_up(record, str(error.args[0]))
        self._under_way.set()

    async def append(self, topic: str, key: bytes, value: bytes, headers: Headers) -> int:
        """As `append_then`; returns the offset.

        Raises:
            NotDurableError: Not confirmed within the time limit, or refused.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.append_then(topic, key, value, headers, partial(_settle, future))
        return await future

    async def append_patiently(self, topic: str, key: bytes, value: bytes, headers: Headers) -> int:
        """As `append`, but for as long as it takes: for what its sender would not send again."""
        while True:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            settled = partial(_settle, future)
            self.append_then(topic, key, value, headers, settled, limited=False)
            try:
                return await future
            except NotDurableError:
                await asyncio.sleep(_RETRY_S)

    def _delivered(self, record: "_Record", error: KafkaError | None, message: Message) -> None:
        self._settled += 1
        if error is not None:
            log.error("a record was not delivered", topic=record.topic, error=error.str())
            if not record.done:
                self._give_up(record, str(error))
            return
        self._unconfirmed = None
        if not record.done:
            record.done = True
            APPEND_SECONDS.observe(monotonic() - record.began_s)
            record.settled(message.offset() or 0)

    def _expire(self) -> None:
        """Give up waiting for records that are over the limit, which is the same for all."""
        began_s = monotonic() - self._timeout_s
        while self._limited and (self._limited[0].done or self._limited[0].began_s <= began_s):
            record = self._limited.popleft()
            if not record.done:
                self._give_up(record, "no confirmation from Kafka")

    def _give_up(self, record: "_Record", reason: str) -> None:
        record.done = True
        APPEND_SECONDS.observe(monotonic() - record.began_s)
        record.settled(self._not_durable(record.topic, reason))

    async def _poll(self) -> None:
        """Bring confirmations to whoever awaits them: soon while they come, else at leisure."""
        fruitless = 0
        while True:
            producer = self._producer
            if producer is None:
                return
            before = self._settled
            producer.poll(0)
            self._expire()
            if self._fatal is not None:
                self._replace(self._fatal)
            fruitless = 0 if self._settled != before else fruitless + 1
            if len(producer):
                await asyncio.sleep(_POLL_S if fruitless < _PATIENCE else _AWAY_POLL_S)
                continue
            self._under_way.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_POLL_S):
                    await self._under_way.wait()

    def _replace(self, error: KafkaError) -> None:
        """After a fatal error (librdkafka's word) only a new producer can go on.

        It comes where the broker has lost records that it had confirmed, so that sequence numbers
        don't fit any longer. What is under way is given up, and its senders are told.
        """
        log.error("replacing the Kafka producer", error=error.str())
        old = self._producer
        self._fatal = None
        self._producer = self._connect()
        if old is not None:
            old.purge()
            old.poll(0)

    def _connect(self) -> Producer:
        return Producer(
            {
                **self._kafka.librdkafka(),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": JAVA_PARTITIONER,
                "compression.type": "lz4",
                "linger.ms": _LINGER_MS,
                "message.timeout.ms": 0,
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.kbytes": _BUFFER_KB,
                "reconnect.backoff.max.ms": 1000,
                "retry.backoff.max.ms": 1000,
                "error_cb": self._on_error,
            },
            logger=logging.getLogger(LOGGER),
        )

    def _on_error(self, error: KafkaError) -> None:
        # Others are on librdkafka's mind only: it goes on trying.
        if error.fatal():
            self._fatal = error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_PROBE_S)
            producer = self._producer
            if producer is None:
                continue
            try:
                await asyncio.to_thread(self._reach, producer)
                reached = True
            except KafkaException:
                reached = False
            if reached == (self._unreachable is not None):
                log.warning("Kafka is reachable again" if reached else "Kafka is not reachable")
            self._unreachable = None if reached else "Kafka is not reachable"

    def _reach(self, producer: Producer) -> None:
        producer.list_topics(self._probe_topic, timeout=self._timeout_s)

    def _not_durable(self, topic: str, reason: str) -> NotDurableError:
        NOT_CONFIRMED.labels(topic).inc()
        self._unconfirmed = f"a record for {topic} is not confirmed: {reason}"
        log.warning("record not confirmed", topic=topic, reason=reason, limit_s=self._timeout_s)
        return NotDurableError(
            f"{reason} within {self._timeout_s:g} s for a record of {topic}; is Kafka up, and do "
            "all its partitions have a leader and enough in-sync replicas?"
        )


def _settle(future: asyncio.Future[int], outcome: int | NotDurableError) -> None:
    if future.done():
        return
    if isinstance(outcome, NotDurableError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class _Record:
    __slots__ = ("began_s", "done", "settled", "topic")

    def __init__(self, topic: str, settled: Settled, began_s: float) -> None:
        self.topic = topic
        self.settled = settled
        self.began_s = began_s
        self.done = False
