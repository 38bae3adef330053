"""An MQTT subscriber, and a reader of Kafka topics: what the demo sees of the outcome."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from confluent_kafka import Consumer, KafkaError, TopicPartition
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from devstack.errors import StartError
from devstack.latency import Arrival
from devstack.settings import StackSettings
from devstack.verdict import MqttMessage
from runtime.kafka_access import KafkaAccess

SUBSCRIPTIONS: Final = ("ocpp/#", "csms/#")
_QOS: Final = 1
_SUBSCRIBE_TIMEOUT_S: Final = 10.0
_READ_TIMEOUT_S: Final = 30.0


class MqttSubscriber:
    """Hands every message of both streams to a callback, in the event loop's thread."""

    def __init__(
        self,
        host: str,
        port: int,
        settings: StackSettings,
        on_message: Callable[[Arrival], None],
    ) -> None:
        self._host = host
        self._port = port
        self._on_message = on_message
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv311
            if settings.mqtt_version == "3.1.1"
            else MQTTProtocolVersion.MQTTv5,
        )
        if settings.mqtt_username is not None:
            password = settings.mqtt_password
            self._client.username_pw_set(
                settings.mqtt_username, None if password is None else password.get_secret_value()
            )

    async def start(self) -> None:
        """Connect and subscribe; from then on nothing is missed.

        Raises:
            StartError: The broker refuses, or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        subscribed: asyncio.Future[list[ReasonCode]] = loop.create_future()

        def deliver(_client: object, _data: object, message: paho.MQTTMessage) -> None:
            # The time first: the event loop may have other things to do.
            at_ns = time.time_ns()
            received = MqttMessage(message.topic, bytes(message.payload))
            loop.call_soon_threadsafe(self._on_message, Arrival(received, at_ns))

        def confirm(
            _client: object, _data: object, _mid: int, codes: list[ReasonCode], _more: object
        ) -> None:
            loop.call_soon_threadsafe(subscribed.set_result, codes)

        self._client.on_message = deliver
        self._client.on_subscribe = confirm
        where = f"the MQTT broker at {self._host}:{self._port}"
        try:
            await asyncio.to_thread(self._client.connect, self._host, self._port)
            self._client.loop_start()
            self._client.subscribe([(topic, _QOS) for topic in SUBSCRIPTIONS])
            codes = await asyncio.wait_for(subscribed, _SUBSCRIBE_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise StartError(f"{where} can't be subscribed to: {error!r}") from error
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            raise StartError(f"{where} refuses the subscription: {', '.join(refused)}")

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


class TopicReader:
    """Reads what is added to some topics after `start`."""

    def __init__(self, kafka: KafkaAccess, topics: list[str]) -> None:
        self._topics = topics
        self._ends: list[TopicPartition] = []
        self._consumer = Consumer(
            {
                **kafka.librdkafka(),
                "group.id": "chargelog-demo",  # asked for by the library; no offset is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                # The end is to be told at once, not after a wait for more.
                "fetch.wait.max.ms": 10,
                "isolation.level": "read_committed",
            }
        )

    def start(self) -> None:
        """Remember where the topics end now."""
        metadata = self._consumer.list_topics(timeout=_READ_TIMEOUT_S).topics
        self._ends = [
            TopicPartition(topic, partition, self._end(topic, partition))
            for topic in self._topics
            for partition in metadata[topic].partitions
        ]

    def read(self) -> dict[str, list[bytes]]:
        """The values that were added, by topic; in order within each partition.

        Raises:
            StartError: Kafka does not answer.
        """
        values: dict[str, list[bytes]] = {topic: [] for topic in self._topics}
        # Not before now: an end of partition is reported each time a partition has been read up.
        self._consumer.assign(self._ends)
        unread = len(self._ends)
        while unread:
            message = self._consumer.poll(_READ_TIMEOUT_S)
            if message is None:
                raise StartError("Kafka does not answer")
            error = message.error()
            if error is None:
                values[str(message.topic())].append(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's public code
                unread -= 1
            else:
                raise StartError(f"Kafka can't be read: {error.str()}")
        self._consumer.close()
        return values

    def _end(self, topic: str, partition: int) -> int:
        _, end = self._consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_READ_TIMEOUT_S
        )
        return int(end)
