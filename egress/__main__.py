"""`chargelog-egress`: mirrors frames and business events from Kafka onto MQTT."""

import asyncio
import logging
import signal
import sys
from typing import Final

import structlog
import uvloop
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from egress import replay_command
from egress.errors import TlsFilesError
from egress.publisher import Publisher
from egress.publishing import publisher_of
from egress.settings import EgressSettings
from egress.worker import EgressWorker
from runtime import logs
from runtime.kafka import wait_for_kafka
from runtime.log_repeats import OncePer
from runtime.ops import OpsServer
from runtime.settings import load
from schemas.errors import ChargelogError
from schemas.topic_admin import ensure_topics

log = structlog.get_logger(__name__)

# aiokafka 0.14 tries a Kafka that refuses connections hundreds of times a second
# (client.py, _get_conn asks for a metadata update, which connects, without a pause).
_REPEATING_LOGGERS: Final = ("aiokafka.client", "aiokafka.consumer.group_coordinator")
_REPEAT_S: Final = 5.0


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly end, 1 when the service can't go on."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--replay" in arguments:
        return replay_command.main(arguments)
    settings = load(
        EgressSettings,
        prog="chargelog-egress",
        description="Publishes OCPP frames and business events from Kafka on MQTT.\n\n"
        "`chargelog-egress --replay --help`: publish a part of the log again.",
        argv=arguments,
    )
    logs.configure(settings.log_level, settings.log_format)
    if not settings.mqtt_enabled:
        log.info("nothing to do: MQTT_ENABLED=false")
        return 0
    if not (settings.mqtt_business_events_enabled or settings.mqtt_protocol_events_enabled):
        log.info(
            "nothing to do: MQTT_BUSINESS_EVENTS_ENABLED=false, MQTT_PROTOCOL_EVENTS_ENABLED=false"
        )
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: EgressSettings) -> int:
    for name in _REPEATING_LOGGERS:
        logging.getLogger(name).addFilter(OncePer(_REPEAT_S))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        publisher = publisher_of(settings)
    except TlsFilesError as error:
        log.error("egress can't go on", error=str(error))  # noqa: TRY400 - one line says it all
        return 1
    service = _Service(settings, publisher)
    ops = OpsServer(settings.egress_ops_host, settings.egress_ops_port, service.not_ready)
    try:
        await ops.start()
    except OSError as error:
        log.error("EGRESS_OPS_HOST, EGRESS_OPS_PORT can't be listened on", error=str(error))  # noqa: TRY400 - one line says it all
        return 1
    publishing = asyncio.create_task(publisher.run())
    mirroring = asyncio.create_task(service.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({publishing, mirroring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        mirroring.cancel()
        await asyncio.wait({mirroring})
        await service.finish()
        return _exit_code(publishing, mirroring)
    finally:
        for task in (publishing, stopping):
            task.cancel()
        await asyncio.wait({publishing, stopping})
        await ops.stop()


class _Service:
    """The worker's life: wait for both brokers, run, drain."""

    def __init__(self, settings: EgressSettings, publisher: Publisher) -> None:
        self._settings = settings
        self._publisher = publisher
        self._worker: EgressWorker | None = None
        self._running = False

    def not_ready(self) -> str | None:
        if not self._publisher.is_connected:
            return "the MQTT broker is not connected"
        return None if self._running else "waiting for Kafka"

    async def run(self) -> None:
        settings = self._settings
        await wait_for_kafka(settings.kafka)
        await asyncio.to_thread(ensure_topics, settings.kafka, settings.topics, settings.partitions)
        # Partitions that can't be delivered are better left to an instance that can.
        await self._publisher.wait_connected()
        self._worker = EgressWorker(settings, self._publisher)
        await self._worker.start()
        self._running = True
        log.info("egress running")
        await self._worker.run()

    async def finish(self) -> None:
        if self._worker is not None:
            if self._running:
                await self._worker.drain()
            await self._worker.close()


def _exit_code(*tasks: asyncio.Task[None]) -> int:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, (ChargelogError, KafkaError, KafkaException)):
                log.error("egress can't go on", error=str(error))
            else:
                log.error("egress failed", exc_info=error)
            return 1
    log.info("egress stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
