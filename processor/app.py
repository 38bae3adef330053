"""The Faust app: assignment, table, recovery, web and command line are Faust's.

`faust -A processor.app worker` works as with any Faust app; `chargelog-processor` is the same with
Chargelog's settings and logs.
"""

import os
from functools import partial
from typing import Any, Final, cast

import faust
import structlog
from faust.types import TP

from processor import metrics
from processor.chunk import Record, reduce_chunk
from processor.settings import ProcessorSettings
from processor.state import Row, decode_row
from processor.tariff import Tariffs
from processor.web import add_pages
from processor.writer import ChunkWriter, encoded_rows
from runtime.settings import from_environment
from schemas.codec import dead_letter_codec, event_codec, frame_codec
from schemas.registry import registry_for
from schemas.topics import CONNECTORS_TABLE, TopicNames

log = structlog.get_logger(__name__)

_CHUNK: Final = 30
"""A crash repeats one chunk at most. A chunk ends no more sessions of a charge point than the
reducer remembers (32), which is how it knows a repeated frame and emits nothing for it."""
_SESSION_TIMEOUT_S: Final = 6.0
_EXIT_FAILED: Final = 1


def create_app(settings: ProcessorSettings) -> Any:  # noqa: ANN401 - Faust ships no types
    """The app, its table, its agent and its pages.

    Raises:
        TariffError: The tariff file is wrong.
    """
    names = TopicNames(settings.topic_prefix)
    tariffs = Tariffs() if settings.tariff_file is None else Tariffs.load(settings.tariff_file)
    registry = registry_for(settings.schema_registry_url)
    frames = frame_codec(registry, names.frames)
    app = faust.App(
        names.processor_app_id,
        broker=[f"aiokafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        # The topics are the contract's (schemas.topics); Faust must not make its own idea of them.
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=_SESSION_TIMEOUT_S,
        broker_heartbeat_interval=_SESSION_TIMEOUT_S / 3,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
        web_host=settings.canonical_host,
        web_bind=settings.processor_web_host,
        web_port=settings.processor_web_port,
        web_in_thread=False,
    )
    table = app.Table(
        CONNECTORS_TABLE,
        partitions=settings.partitions,
        key_type=bytes,
        value_type=bytes,
    )
    topic = app.topic(
        names.frames, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    writer = ChunkWriter(
        settings.kafka_bootstrap_servers,
        names,
        event_codec(registry, names.events),
        dead_letter_codec(registry, names.dead_letter),
    )

    # The memory store's dict; its `data` is not part of Faust's typed interface.
    store: dict[bytes, bytes] = cast("Any", table.data).data

    def stored(key: str) -> Row | None:
        value = store.get(key.encode())
        return None if value is None else decode_row(value, key)

    async def process(partition: int, records: list[Record]) -> None:
        with metrics.CHUNK_SECONDS.time():
            result = reduce_chunk(records, stored, tariffs, frames)
            await writer.write(partition, result)
        # Past the table's own interface, which would send each row to the changelog a second time.
        store.update(encoded_rows(result))
        metrics.FRAMES.inc(len(records))
        metrics.DEAD_LETTERS.inc(len(result.dead_letters))
        for letter in result.dead_letters:
            log.error(
                "frame put on the dead letter topic",
                partition=letter.partition,
                offset=letter.offset,
                client_id=letter.client_id,
                reason=letter.reason,
            )
        for event in result.events:
            metrics.EVENTS.labels(event.event_type).inc()

    @app.agent(topic, isolated_partitions=True)
    async def frames_to_events(stream: Any) -> None:  # noqa: ANN401 - Faust ships no types
        pending: list[Any] = []
        # Faust acknowledges an event when the loop body ends, however it ends; here only what is
        # written counts as done.
        async for event in stream.noack().events():
            pending.append(event)
            # What is waiting is taken along; what is not there yet is not waited for.
            if len(pending) < _CHUNK and not stream.channel.queue.empty():
                continue
            try:
                await process(event.message.partition, [_record(e.message) for e in pending])
            except Exception:
                log.exception("the chunk could not be processed; ending, to start from the log")
                # Crash-only: Faust would restart the agent past the chunk and lose it.
                os._exit(_EXIT_FAILED)
            for done in pending:
                await stream.ack(done)
            partition = event.message.partition
            # Before the next chunk: see _CHUNK.
            await app.commit({TP(names.frames, partition)})
            pending = []

    metrics.PARTITIONS.set_function(partial(_partitions_held, app, names.frames))
    add_pages(app, table)
    return app


def _partitions_held(app: Any, topic: str) -> int:  # noqa: ANN401 - Faust ships no types
    return sum(tp.topic == topic for tp in app.assignor.assigned_actives())


def _record(message: Any) -> Record:  # noqa: ANN401 - Faust ships no types
    return Record(message.topic, message.partition, message.offset, message.key, message.value)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute
    # `faust -A processor.app` looks for `app`; made on demand, so that an import starts nothing.
    if name == "app":
        app = create_app(from_environment(ProcessorSettings, prog="chargelog-processor"))
        globals()["app"] = app
        return app
    raise AttributeError(name)
