"""One installation of Chargelog's topics for the egress tests, with records to write there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from mqtt_subscriber import Received

from egress.connection import MqttOptions
from egress.publisher import Publisher
from egress.settings import EgressSettings
from egress.worker import GROUP, EgressWorker
from runtime.kafka_access import KafkaAccess
from schemas.codec import event_codec, frame_codec
from schemas.events import BusinessEvent, StatusChanged
from schemas.frames import OcppFrame
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

FRAMES = frame_codec()


def frame(client_id: str, number: int, at_ns: int = 1_701_944_130_000_000_000) -> bytes:
    return FRAMES.encode(
        OcppFrame(
            client_id=client_id,
            received_at_ns=at_ns + number,
            direction="inbound",
            protocol="ocpp1.6",
            kind="CALL",
            message_id=str(number),
            action="DataTransfer",
            raw=b'[2,"%d","DataTransfer",{"n":%d}]' % (number, number),
            connection_id="c",
        )
    )


def event(client_id: str) -> bytes:
    return event_codec().encode(
        BusinessEvent(
            timestamp=1_701_944_125_000_000,
            client_id=client_id,
            event_type="status_changed",
            event_id="status_changed_1",
            payload=StatusChanged(
                connector_id=1,
                status="Charging",
                previous_status="Preparing",
                transaction_id=1,
                error_code="NoError",
            ),
        )
    )


class Installation:
    """One TOPIC_PREFIX on the shared Kafka, one subscriber on the shared MQTT broker."""

    def __init__(self, servers: str, prefix: str, **settings: object) -> None:
        self.servers = servers
        self.names = TopicNames(prefix)
        fields = {"kafka_bootstrap_servers": servers, "topic_prefix": prefix, **settings}
        self.settings = EgressSettings(**fields)  # type: ignore[arg-type] # fields vary by test
        ensure_topics(KafkaAccess(servers), self.names, 2)
        # Charge points are named after the prefix: the MQTT broker is shared.
        self.client_id = prefix.rstrip(".")

    def write(self, topic: str, values: list[bytes | None], partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True})
        for value in values:
            producer.produce(topic, value, key=self.client_id, partition=partition)
        assert producer.flush(10) == 0

    def committed(self, topic: str, partition: int = 0) -> int:
        """The group's offset; -1001 where none is committed."""
        group = self.names.prefix + GROUP
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=10)
            return int(found.offset)
        finally:
            consumer.close()

    async def until_committed(self, topic: str, offset: int, partition: int = 0) -> None:
        async with asyncio.timeout(90):
            while (  # noqa: ASYNC110 - Kafka can't set an event
                await asyncio.to_thread(self.committed, topic, partition) != offset
            ):
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def egress(self, port: int, name: str = "a") -> AsyncIterator[EgressWorker]:
        """A member of the group; it ends without a drain, as after SIGKILL."""
        options = MqttOptions(host="127.0.0.1", port=port, client_id=f"{self.client_id}-{name}")
        publisher = Publisher(options, min_backoff_s=0.02, max_backoff_s=0.1)
        worker = EgressWorker(self.settings, publisher, revoke_drain_s=0.5)
        publishing = asyncio.create_task(publisher.run())
        await worker.start()
        running = asyncio.create_task(worker.run())
        try:
            yield worker
            assert not running.done()
            assert not publishing.done()
        finally:
            for task in (running, publishing):
                task.cancel()
            await asyncio.wait({running, publishing})
            await worker.close()


def numbers(received: Received) -> list[int]:
    """The `n` of each frame that arrived."""
    return [orjson.loads(payload)["payload"]["n"] for payload in received.payloads]
