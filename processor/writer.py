"""Writes what a chunk came to, in the order that makes a crash harmless.

Events and dead letters are durable before any row is written, and the rows before the source
offset is committed. A crash between two steps repeats events (same eventId, same bytes); it never
loses one, which would happen if a row that knows of a session reached the changelog before the
session's event reached its topic.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from processor.chunk import ChunkResult
from processor.state import encode_row
from schemas.codec import Codec
from schemas.errors import ChargelogError
from schemas.events import BusinessEvent
from schemas.headers import event_headers
from schemas.records import DeadLetter
from schemas.topics import TopicNames

_DELIVERY_MS: Final = 30_000
_SLICE_S: Final = 0.5


class NotWrittenError(ChargelogError):
    """Kafka did not confirm records within the limit."""


class ChunkWriter:
    """One producer for all partitions; explicit partition numbers keep frame and event together."""

    def __init__(
        self,
        bootstrap_servers: str,
        names: TopicNames,
        events: Codec[BusinessEvent],
        dead_letters: Codec[DeadLetter],
    ) -> None:
        self._names = names
        self._events = events
        self._dead_letters = dead_letters
        self._bootstrap_servers = bootstrap_servers

    @cached_property
    def _producer(self) -> Producer:
        # With the first chunk: commands such as `faust agents` make an app that writes nothing.
        return Producer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": _DELIVERY_MS,
                # `flush` does not wait for it. It keeps a chunk's rows together in one batch, which
                # the broker appends wholly or not at all: a crash can't leave a charge point's row
                # ahead of its connector's.
                "linger.ms": 100,
                "compression.type": "lz4",
            }
        )

    async def write(self, partition: int, result: ChunkResult) -> None:
        """Make the chunk's outcome durable; blocking calls run in a thread.

        Raises:
            NotWrittenError: Not everything was confirmed. What was may be there.
        """
        await asyncio.to_thread(self._write, partition, result)

    def _write(self, partition: int, result: ChunkResult) -> None:
        failures: list[str] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(str(error))

        for event in result.events:
            self._producer.produce(
                self._names.events,
                key=event.client_id.encode(),
                value=self._events.encode(event),
                headers=[*event_headers(event)],
                partition=partition,
                on_delivery=delivered,
            )
        for letter in result.dead_letters:
            self._producer.produce(
                self._names.dead_letter,
                key=None if letter.client_id is None else letter.client_id.encode(),
                value=self._dead_letters.encode(letter),
                partition=partition,
                on_delivery=delivered,
            )
        self._confirm(failures)
        for key, value in encoded_rows(result).items():
            self._producer.produce(
                self._names.connectors_changelog,
                key=key,
                value=value,
                partition=partition,
                on_delivery=delivered,
            )
        self._confirm(failures)

    def _confirm(self, failures: list[str]) -> None:
        # Every record ends delivered or failed within delivery.timeout.ms.
        while self._producer.flush(_SLICE_S):
            pass
        if failures:
            raise NotWrittenError(
                f"{len(failures)} records were not confirmed by Kafka: {failures[0]}"
            )


def encoded_rows(result: ChunkResult) -> Mapping[bytes, bytes]:
    """The touched rows as the changelog and the table hold them."""
    return {key.encode(): encode_row(row) for key, row in result.rows.items()}
