"""The whole ingress, put together and run until it is told to stop."""

import asyncio
import logging
import signal
import socket
import time
import uuid
from contextlib import AsyncExitStack
from typing import Final, Self

import structlog

from ingress import durable
from ingress.authorization import AcceptAll, ListFile
from ingress.commands.downstream import Downstream
from ingress.durable import DurableProducer
from ingress.exchange import Authorizer, Exchange
from ingress.journal import Journal
from ingress.relay import Relay
from ingress.security.profile import Security
from ingress.server import IngressServer
from ingress.settings import IngressSettings
from ingress.transaction_ids import TransactionIds
from runtime.kafka import wait_for_kafka
from runtime.log_repeats import OncePer
from runtime.ops import OpsServer
from schemas.codec import (
    command_codec,
    command_result_codec,
    frame_codec,
    transaction_id_codec,
)
from schemas.registry import registry_for
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

log = structlog.get_logger(__name__)

_RELOAD_S: Final = 1.0
# Both libraries log each failed attempt, several a second, while a broker is away.
_REPEATING_LOGGERS: Final = (
    durable.LOGGER,
    "aiokafka",  # aiokafka 0.14.0, client.py
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
)
_REPEAT_S: Final = 30.0
_QUIET_LOGGER: Final = "websockets.server"
"""Says of each connection, without its identity, what the server here says with it."""


class Ingress:
    """The running ingress. Use as `async with Ingress(settings) as ingress`.

    Leaving the block drains: no new connections, frames in flight finished, records flushed.
    """

    def __init__(self, settings: IngressSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._producer: DurableProducer | None = None
        self._transaction_ids: TransactionIds | None = None
        self._downstream: Downstream | None = None
        self._server: IngressServer | None = None
        # Read first of all: a wrong file should not wait for Kafka to be found.
        self._id_tags = (
            None
            if settings.ingress_authorization_file is None
            else ListFile(settings.ingress_authorization_file)
        )
        self.authorizer: Authorizer = self._id_tags or AcceptAll()
        self._security = Security(settings)
        self._stack.callback(self._security.close)

    def reload(self, *, force: bool) -> None:
        """Take up files that have changed, or all: idTags, passwords, certificates."""
        self._security.reload(force=force)
        if self._id_tags is not None:
            self._id_tags.reload(force=force)

    @property
    def port(self) -> int:
        """The port that charge points connect to."""
        if self._server is None:
            raise RuntimeError("the ingress is not started")
        return self._server.port

    @property
    def not_ready(self) -> str | None:
        """Why charge points would not be served now; None: they would."""
        parts = (self._producer, self._transaction_ids, self._downstream, self._server)
        if None in parts:
            return "starting: waiting for Kafka"
        return next((part.not_ready for part in parts if part and part.not_ready), None)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self._settings
        ops = OpsServer(
            settings.ingress_ops_host, settings.ingress_ops_port, lambda: self.not_ready
        )
        await ops.start()
        self._stack.push_async_callback(ops.stop)
        await wait_for_kafka(settings.kafka)
        names = TopicNames(settings.topic_prefix)
        await asyncio.to_thread(ensure_topics, settings.kafka, names, settings.partitions)
        registry = registry_for(settings.schema_registry_url)
        producer = DurableProducer(
            settings.kafka, settings.kafka_timeout_s, probe_topic=names.frames
        )
        await producer.start()
        self._stack.push_async_callback(producer.stop)
        transaction_ids = TransactionIds(
            producer,
            kafka=settings.kafka,
            topic=names.transaction_ids,
            codec=transaction_id_codec(registry, names.transaction_ids),
            timeout_s=settings.kafka_timeout_s,
        )
        self._stack.push_async_callback(transaction_ids.stop)
        await transaction_ids.start()
        journal = Journal(producer, names.frames, frame_codec(registry, names.frames))
        downstream = Downstream(
            producer,
            kafka=settings.kafka,
            commands=names.commands,
            results=names.command_results,
            partitions=settings.partitions,
            codecs=(
                command_codec(registry, names.commands),
                command_result_codec(registry, names.command_results),
            ),
            instance=f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
            clock_ns=time.time_ns,
            answer_timeout_s=settings.ingress_command_timeout_s,
        )
        self._stack.push_async_callback(downstream.stop)
        await downstream.start()
        server = IngressServer(
            settings,
            Exchange(journal, transaction_ids, self.authorizer, time.time_ns),
            downstream,
            self._security,
            _relay(settings, journal),
        )
        await server.start()
        self._stack.push_async_callback(server.drain)
        self._producer, self._transaction_ids, self._server = producer, transaction_ids, server
        self._downstream = downstream


def _relay(settings: IngressSettings, journal: Journal) -> Relay | None:
    if settings.upstream_url is None:
        return None
    return Relay(
        settings.upstream_url,
        journal,
        time.time_ns,
        # Within the limit of the handshake that waits for it.
        open_timeout_s=settings.ingress_open_timeout_s / 2,
        max_frame_bytes=settings.ingress_max_frame_bytes,
    )


async def run(settings: IngressSettings) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the files that settings name again."""
    for name in _REPEATING_LOGGERS:
        logging.getLogger(name).addFilter(OncePer(_REPEAT_S))
    logging.getLogger(_QUIET_LOGGER).setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ingress = Ingress(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: ingress.reload(force=True))
    starting = asyncio.create_task(ingress.__aenter__())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    await starting
    log.info("listening", host=settings.ingress_host, port=ingress.port)
    try:
        while not stop.is_set():
            ingress.reload(force=False)
            await asyncio.wait({stopping}, timeout=_RELOAD_S)
    finally:
        stopping.cancel()
        log.info("shutting down")
        await ingress.__aexit__()
        log.info("stopped")
