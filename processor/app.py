"""The Faust app: assignment, fetching, table, routing, web and command line are Faust's.

`faust -A processor.app worker` works as with any Faust app; `chargelog-processor` is the same with
Chargelog's settings and logs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import faust
import structlog
from faust.types import TP
from faust.types.enums import ProcessingGuarantee

from processor import metrics
from processor.chunk import ChunkResult, reduce_chunk
from processor.faust_recovery import TakeOverTables
from processor.faust_transport import ChunkTransport
from processor.held_rows import HeldRows
from processor.partitions import Assignment
from processor.restore import restore
from processor.rows import PartitionRows
from processor.sequence import SourceRecord
from processor.settings import ProcessorSettings
from processor.tariff import Tariffs
from processor.web import add_pages
from processor.writer import Group, NotWrittenError, OrderedWriter, Outcome, TransactionalWriter
from runtime.kafka_access import KafkaAccess
from runtime.settings import from_environment
from schemas.codec import dead_letter_codec, event_codec, frame_codec
from schemas.errors import ChargelogError
from schemas.registry import registry_for
from schemas.topics import CONNECTORS_TABLE, TopicNames

log = structlog.get_logger(__name__)

_SESSION_TIMEOUT_S: Final = 6.0
_HEARTBEAT_S: Final = 1.0
"""A member learns of a rebalance from a heartbeat, so this is how long a take-over waits for it."""
_EXIT_FAILED: Final = 1


class FaustSettingError(ChargelogError):
    """An environment variable of Faust's would undo what the processor promises."""


class KafkaBacking:
    """Writers, state and offsets from Kafka."""

    def __init__(self, settings: ProcessorSettings, outcome: Outcome) -> None:
        self._settings = settings
        self._outcome = outcome
        names = outcome.names
        self._kafka = settings.kafka
        self._group = Group(self._kafka, names.processor_app_id, names.frames)

    def writer(self, partition: int) -> TransactionalWriter | OrderedWriter:
        """As the setting PROCESSOR_GUARANTEE says."""
        if self._settings.processor_guarantee == "at_least_once":
            return OrderedWriter(self._kafka, self._outcome, partition)
        return TransactionalWriter(self._kafka, self._outcome, partition, self._group)

    def restored(
        self, partitions: Sequence[int], is_wanted: Callable[[], bool]
    ) -> Mapping[int, PartitionRows]:
        """From the changelog."""
        topic = self._outcome.names.connectors_changelog
        return restore(self._kafka, topic, partitions, is_wanted)

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Of the consumer group; the partition's first offset where none is committed."""
        return self._group.committed(partitions)


def _credentials(kafka: KafkaAccess) -> Any:  # noqa: ANN401 - Faust ships no types
    """Faust's idea of how one gets in; None: without TLS and user."""
    context = kafka.ssl_context()
    if kafka.has_sasl:
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password,
            ssl_context=context,
            mechanism=kafka.mechanism,
        )
    return None if context is None else faust.SSLCredentials(context)


def create_app(settings: ProcessorSettings) -> Any:  # noqa: ANN401 - Faust ships no types
    """The app, its table, its agent and its pages.

    Raises:
        TariffError: The tariff file is wrong.
    """
    names = TopicNames(settings.topic_prefix)
    tariffs = Tariffs() if settings.tariff_file is None else Tariffs.load(settings.tariff_file)
    registry = registry_for(settings.schema_registry_url)
    frames = frame_codec(registry, names.frames)
    outcome = Outcome(
        names, event_codec(registry, names.events), dead_letter_codec(registry, names.dead_letter)
    )

    def reduce(records: Sequence[SourceRecord], rows: PartitionRows) -> ChunkResult:
        return reduce_chunk(records, rows.get, tariffs, frames)

    assignment = Assignment(
        KafkaBacking(settings, outcome), reduce, chunk_frames=settings.chunk_frames, fail=_end
    )
    app = faust.App(
        names.processor_app_id,
        broker=[f"aiokafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings.kafka),
        store="memory://",
        TableManager=partial(TakeOverTables, assignment=assignment),
        # The topics are the contract's (schemas.topics); Faust must not make its own idea of them.
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=_SESSION_TIMEOUT_S,
        broker_heartbeat_interval=_HEARTBEAT_S,
        broker_max_poll_records=settings.chunk_frames,
        # Assignment.settle waits for what is under way.
        stream_wait_empty=False,
        # A standby of Faust's would read the changelog a record at a time.
        table_standby_replicas=0,
        web_host=settings.canonical_host,
        web_bind=settings.processor_web_host,
        web_port=settings.processor_web_port,
        web_in_thread=False,
    )
    _refuse_what_breaks_the_promise(app.conf)
    app.transport = ChunkTransport(app.conf.broker_consumer, app)
    table = app.Table(
        CONNECTORS_TABLE,
        partitions=settings.partitions,
        key_type=bytes,
        value_type=bytes,
    )
    rows = HeldRows(assignment.held)
    # The memory store's dict, which Faust's table reads.
    cast("Any", table.data).data = rows
    topic = app.topic(
        names.frames,
        key_serializer="raw",
        value_serializer="raw",
        # Faust neither counts what is done nor commits offsets: the chunk's writer does.
        acks=False,
    )

    @app.agent(topic)
    async def frames_to_events(stream: Any) -> None:  # noqa: ANN401 - Faust ships no types
        async for fetched in stream.noack():
            assignment.take(fetched)

    async def settle(*_: Any, **__: Any) -> None:  # noqa: ANN401 - Faust passes what it likes
        await assignment.settle()

    # Before others take over, and before leaving.
    app.on_partitions_revoked.connect(settle)
    app.on_before_shutdown.connect(settle)

    def source(number: int) -> TP:
        return TP(names.frames, number)

    async def commit(number: int, next_offset: int) -> None:
        # Past Faust's bookkeeping, which counts messages; ours are chunks.
        await cast("Any", app.consumer)._commit({source(number): next_offset})  # noqa: SLF001

    if settings.processor_guarantee == "at_least_once":
        assignment.on_written = commit
    assignment.on_full = lambda number: app.consumer.on_buffer_full(source(number))
    assignment.on_drained = lambda number: app.consumer.on_buffer_drop(source(number))
    add_pages(app, table, rows)
    metrics.watch(assignment.held, partial(_end_of, app, names.frames))
    return app


def _refuse_what_breaks_the_promise(conf: Any) -> None:  # noqa: ANN401
    # Faust 0.15.3, types/settings/base.py: a variable of the environment beats the argument.
    if conf.table_standby_replicas:
        raise FaustSettingError(
            f"TABLE_STANDBY_REPLICAS={conf.table_standby_replicas} is not possible: the state is "
            "restored in bulk by the worker that takes a partition over, and by no other. Unset it"
        )
    if conf.processing_guarantee != ProcessingGuarantee.AT_LEAST_ONCE:
        raise FaustSettingError(
            "PROCESSING_GUARANTEE is Faust's own, which is not atomic here; unset it and set "
            "PROCESSOR_GUARANTEE=exactly_once (the default)"
        )


def _end_of(app: Any, topic: str, number: int) -> int | None:  # noqa: ANN401 - Faust ships no types
    end: int | None = app.consumer.end_of(TP(topic, number))
    return end


def _end(error: BaseException) -> None:
    """End the process at once: everything not committed is read and reduced again."""
    expected = isinstance(error, ChargelogError)
    log.critical(
        str(error) if expected else "ending, to start again from the log",
        kind=type(error).__name__,
        exc_info=None if isinstance(error, NotWrittenError) else error,
    )
    # Not through Faust, which would go on behind what failed, or wait for it.
    os._exit(_EXIT_FAILED)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute
    # `faust -A processor.app` looks for `app`; made on demand, so that an import starts nothing.
    if name == "app":
        app = create_app(from_environment(ProcessorSettings, prog="chargelog-processor"))
        globals()["app"] = app
        return app
    raise AttributeError(name)
