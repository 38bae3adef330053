"""Records that can't be delivered, put on `csms.dead-letter` beside the stream, which goes on."""

import asyncio
import hashlib
import traceback
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.errors import KafkaError

from egress import metrics
from schemas.codec import Codec
from schemas.records import DeadLetter

log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_CAPACITY: Final = 1_000


class LogPosition(NamedTuple):
    """Where a record lies, and whose it is."""

    topic: str
    partition: int
    offset: int
    key: bytes | None

    @property
    def client_id(self) -> str | None:
        """The record's key as text; None where it is none."""
        try:
            return None if self.key is None else self.key.decode()
        except UnicodeDecodeError:
            return None


class DeadLetters:
    """Writes dead letters until Kafka has them; only then their records count as settled."""

    def __init__(self, producer: Any, topic: str, codec: Codec[DeadLetter]) -> None:  # noqa: ANN401 - aiokafka is untyped
        """Nothing is written yet.

        Args:
            producer: A started `AIOKafkaProducer` with acks=all.
            topic: Full name of the dead letter topic.
            codec: Its codec.
        """
        self._producer = producer
        self._topic = topic
        self._codec = codec
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether so many are under way that reading should wait."""
        return len(self._tasks) >= _CAPACITY

    def put(
        self,
        position: LogPosition,
        reason: str,
        *,
        settled: Callable[[int], None],
        error: BaseException | None = None,
    ) -> None:
        """Write a dead letter in the background.

        Args:
            position: Where the record lies.
            reason: Why it can't be delivered.
            settled: Called with the record's offset when the letter is durable.
            error: The exception behind it, for `tracebackHash`.
        """
        letter = DeadLetter(
            stage="egress",
            topic=position.topic,
            partition=position.partition,
            offset=position.offset,
            client_id=position.client_id,
            reason=reason,
            traceback_hash=None if error is None else _place(error),
        )
        log.error("record put on the dead letter topic", **position._asdict(), reason=reason)
        task = asyncio.create_task(self._write(letter, position, settled))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is still being written; the records stay uncommitted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(
        self, letter: DeadLetter, position: LogPosition, settled: Callable[[int], None]
    ) -> None:
        value = self._codec.encode(letter)
        while True:
            try:
                await self._producer.send_and_wait(self._topic, value=value, key=position.key)
            except KafkaError as error:
                log.warning("dead letter not written, trying again", error=repr(error))
                await asyncio.sleep(_RETRY_S)
            else:
                break
        metrics.DEAD_LETTERS.labels(position.topic).inc()
        settled(position.offset)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = "\n".join([type(error).__name__, *(f"{f.name}:{f.line}" for f in frames)])
    return hashlib.sha256(place.encode()).hexdigest()[:16]
