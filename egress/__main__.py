"""`chargelog-egress`: mirrors frames and business events from Kafka onto MQTT."""

import asyncio
import secrets
import signal
import sys
import time

import structlog
import uvloop
from aiokafka.errors import KafkaError

from egress.announcement import Announcement
from egress.connection import MqttOptions, Tls
from egress.errors import TlsFilesError
from egress.packets import Credentials
from egress.publisher import Publisher
from egress.settings import EgressSettings
from egress.worker import EgressWorker
from runtime import logs
from runtime.kafka import wait_for_kafka
from runtime.ops import OpsServer
from runtime.settings import load
from schemas.errors import ChargelogError
from schemas.topic_admin import ensure_topics

log = structlog.get_logger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly end, 1 when the service can't go on."""
    settings = load(
        EgressSettings,
        prog="chargelog-egress",
        description="Publishes OCPP frames and business events from Kafka on MQTT.",
        argv=argv,
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
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await asyncio.to_thread(
            ensure_topics, settings.kafka_bootstrap_servers, settings.topics, settings.partitions
        )
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
            if isinstance(error, (ChargelogError, KafkaError)):
                log.error("egress can't go on", error=str(error))
            else:
                log.error("egress failed", exc_info=error)
            return 1
    log.info("egress stopped")
    return 0


def publisher_of(settings: EgressSettings) -> Publisher:
    """The publisher that the settings describe.

    Raises:
        TlsFilesError: The certificates can't be used.
    """
    password = settings.mqtt_password
    client_id = settings.mqtt_client_id or f"chargelog-egress-{secrets.token_hex(4)}"
    announcement = None
    if settings.mqtt_status_topic:
        topic = settings.topic_levels + settings.mqtt_status_topic
        announcement = Announcement(topic, client_id, lambda: time.time_ns() // 1000)
    tls = None
    if settings.mqtt_tls:
        tls = Tls(
            ca_file=settings.mqtt_tls_ca_file,
            cert_file=settings.mqtt_tls_cert_file,
            key_file=settings.mqtt_tls_key_file,
        )
        tls.context()
    options = MqttOptions(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        client_id=client_id,
        credentials=Credentials(
            settings.mqtt_username, None if password is None else password.get_secret_value()
        ),
        version=settings.mqtt_version,
        qos=settings.mqtt_qos,
        retain=settings.mqtt_retain,
        expiry_s=settings.mqtt_message_expiry_s,
        keepalive_s=settings.mqtt_keepalive_s,
        tls=tls,
        will=None if announcement is None else announcement.will,
    )
    return Publisher(options, tries=settings.mqtt_refused_tries, announcement=announcement)


if __name__ == "__main__":
    sys.exit(main())
