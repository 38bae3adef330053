"""The local brokers are the real ones: what clients see of their lives and limits."""

import queue
import socket
import time

import paho.mqtt.client as paho
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ names no __all__
    AdminClient,
    NewTopic,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devstack.errors import StartError
from devstack.existing import ExistingKafka, ExistingMqtt, kafka_broker, mqtt_broker
from devstack.kafka import KafkaBroker
from devstack.mqtt import MAX_PAYLOAD, Mosquitto, MqttBroker
from devstack.process import accepts_connections
from runtime.kafka_access import KafkaAccess

pytestmark = pytest.mark.integration


def produce(servers: str, topic: str, value: bytes) -> None:
    producer = Producer(
        {"bootstrap.servers": servers, "message.timeout.ms": 30_000, "message.max.bytes": 2_000_000}
    )
    errors: list[KafkaError | None] = []
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    producer.flush(30)
    assert errors == [None]


def consume(servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "never joined"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def create(servers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)


def test_kafka_keeps_its_data_and_address_over_a_restart_a_kill_and_a_pause() -> None:
    with KafkaBroker(settings={"message.max.bytes": "2000000"}) as broker:
        servers = broker.bootstrap_servers
        create(servers, "numbers")
        produce(servers, "numbers", b"1")
        broker.restart()
        produce(servers, "numbers", b"2")
        broker.kill()
        assert not accepts_connections(broker.port)
        broker.start()
        produce(servers, "numbers", b"3" * 1_500_000)
        broker.pause()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": servers}).list_topics(timeout=0.5)
        broker.resume()
        assert broker.bootstrap_servers == servers
        assert consume(servers, "numbers", 3) == [b"1", b"2", b"3" * 1_500_000]
    assert not accepts_connections(broker.port)
    assert not broker.directory.exists()


def test_a_misspelt_topic_is_an_error_not_a_new_topic(kafka: KafkaBroker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    error = admin.list_topics("ocpp.farmes", timeout=10).topics["ocpp.farmes"].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert "ocpp.farmes" not in admin.list_topics(timeout=10).topics


def test_one_transaction_spans_topics(kafka: KafkaBroker, topic_prefix: str) -> None:
    servers = kafka.bootstrap_servers
    names = [f"{topic_prefix}a", f"{topic_prefix}b"]
    for name in names:
        create(servers, name)
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic_prefix})
    producer.init_transactions(30)
    for value, end in (
        (b"lost", producer.abort_transaction),
        (b"kept", producer.commit_transaction),
    ):
        producer.begin_transaction()
        for name in names:
            producer.produce(name, value)
        end(30)
    assert [consume(servers, name, 1) for name in names] == [[b"kept"], [b"kept"]]


def test_variables_name_brokers_that_are_used_and_left_alone() -> None:
    kafka = kafka_broker(KafkaAccess("kafka-1:9092,kafka-2:9092"))
    mqtt = mqtt_broker("mqtt.example", 8883)
    for broker in (kafka, mqtt):
        broker.start()
        broker.close()
    assert isinstance(kafka, ExistingKafka)
    assert kafka.bootstrap_servers == "kafka-1:9092,kafka-2:9092"
    assert isinstance(mqtt, ExistingMqtt)
    assert (mqtt.host, mqtt.port, mqtt.v311_port) == ("mqtt.example", 8883, 8883)


class Inbox:
    """A subscriber of everything, and a publisher beside it."""

    def __init__(self, port: int, version: MQTTProtocolVersion, transport: str) -> None:
        self._received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        subscribed: queue.Queue[bool] = queue.Queue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=version,
            transport="websockets" if transport == "websockets" else "tcp",
        )
        self._client.on_message = lambda _c, _u, m: self._received.put((m.topic, bytes(m.payload)))
        self._client.on_subscribe = lambda *_: subscribed.put(item=True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("#", 1)
        assert subscribed.get(timeout=10)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def next(self, timeout_s: float = 10) -> tuple[str, bytes]:
        return self._received.get(timeout=timeout_s)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.parametrize(
    ("port", "version", "transport"),
    [
        ("port", MQTTProtocolVersion.MQTTv5, "tcp"),
        ("v311_port", MQTTProtocolVersion.MQTTv311, "tcp"),
        ("websocket_port", MQTTProtocolVersion.MQTTv5, "websockets"),
    ],
)
def test_mqtt_carries_long_payloads_in_order_over_every_listener(
    port: str, version: MQTTProtocolVersion, transport: str
) -> None:
    with MqttBroker() as broker:
        inbox = Inbox(getattr(broker, port), version, transport)
        longest = b"x" * (MAX_PAYLOAD - 100)
        for payload in (b"1", longest, b"2"):
            inbox.publish("a/b", payload)
        assert [inbox.next() for _ in range(3)] == [("a/b", b"1"), ("a/b", longest), ("a/b", b"2")]
        inbox.close()


def test_a_browser_gets_what_was_published_with_properties() -> None:
    with MqttBroker() as broker:
        inbox = Inbox(broker.websocket_port, MQTTProtocolVersion.MQTTv5, "websockets")
        publish_with_properties(broker.port)
        assert inbox.next() == ("a", b"1")
        inbox.close()


def test_rumqttd_still_drops_older_clients_at_a_message_with_properties() -> None:
    """Fails once it does not: then `devstack.rumqttd` can go, for rumqttd's own listener."""
    with MqttBroker() as broker:
        inbox = Inbox(broker.v311_port, MQTTProtocolVersion.MQTTv311, "tcp")
        publish_with_properties(broker.port)
        deadline = time.monotonic() + 30
        while "only matches for packets with Properties" not in broker.log_tail(100):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(queue.Empty):
            inbox.next(timeout_s=0.5)
        inbox.close()


def publish_with_properties(port: int) -> None:
    publisher = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    properties.UserProperty = ("eventId", "1")
    publisher.publish("a", b"1", qos=1, properties=properties).wait_for_publish(10)
    publisher.disconnect()
    publisher.loop_stop()


@pytest.mark.parametrize("listener", ["port", "v311_port", "websocket_port"])
def test_a_taken_port_is_said_and_no_other_broker_is_used(listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = MqttBroker(**{listener: port})
        try:
            with pytest.raises(StartError, match=rf"(?s)exit code 1.*rumqttd: .*{port}"):
                broker.start()
        finally:
            broker.close()


def test_the_mqtt_broker_restarts_on_its_ports() -> None:
    with MqttBroker() as broker:
        broker.restart()
        inbox = Inbox(broker.port, MQTTProtocolVersion.MQTTv5, "tcp")
        inbox.publish("a", b"1")
        assert inbox.next() == ("a", b"1")
        inbox.close()


class AbsentSubscriber:
    """A client with a session that the broker keeps while it is away."""

    def __init__(self, port: int) -> None:
        self._port = port

    def visit(self, *, subscribe: bool = False) -> queue.Queue[bytes]:
        """Connect until a subscription is acknowledged or a message came; returns the messages."""
        received: queue.Queue[bytes] = queue.Queue()
        subscribed: queue.Queue[bool] = queue.Queue()
        client = paho.Client(
            CallbackAPIVersion.VERSION2, "away", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.on_message = lambda _c, _u, m: received.put(bytes(m.payload))
        client.on_subscribe = lambda *_: subscribed.put(item=True)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        client.loop_start()
        if subscribe:
            client.subscribe("a", 1)
            assert subscribed.get(timeout=10)
        else:
            received.put(received.get(timeout=10))
        client.disconnect()
        client.loop_stop()
        return received


@pytest.mark.mosquitto
@pytest.mark.parametrize("crash", [False, True])
def test_mosquitto_keeps_what_an_absent_subscriber_missed(
    mosquitto: Mosquitto, *, crash: bool
) -> None:
    subscriber = AbsentSubscriber(mosquitto.port)
    subscriber.visit(subscribe=True)
    publisher = Inbox(mosquitto.port, MQTTProtocolVersion.MQTTv5, "tcp")
    publisher.publish("a", b"missed")
    publisher.next()
    publisher.close()
    if crash:
        time.sleep(1)  # its database is written with the next turns of its loop
        mosquitto.kill()
    mosquitto.restart()
    assert subscriber.visit().get_nowait() == b"missed"
