"""The brokers that tests share: started with the first test that asks, gone with the last."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from devstack.existing import ExistingKafka, ExistingMqtt, kafka_broker, mqtt_broker, named_kafka
from devstack.kafka import KafkaBroker
from devstack.mqtt import Mosquitto, MqttBroker
from devstack.settings import StackSettings
from devstack.stack import Ports, Stack

# Without time limits, which a busy machine breaks, and with the same examples on every machine.
# `HYPOTHESIS_PROFILE=default make test` looks for new ones.
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker | ExistingKafka]:
    """A real Kafka, or the one that KAFKA_BOOTSTRAP_SERVERS names. Never restart or pause it here:
    tests that do so start a `KafkaBroker` of their own.
    """
    broker = kafka_broker(named_kafka())
    try:
        yield broker.start()
    finally:
        broker.close()


@pytest.fixture(scope="session")
def mqtt() -> Iterator[MqttBroker | ExistingMqtt]:
    """A real broker, or the one that MQTT_HOST names: MQTT 5 on `port`, 3.1.1 on `v311_port`."""
    broker = mqtt_broker(os.environ.get("MQTT_HOST"), int(os.environ.get("MQTT_PORT", "1883")))
    try:
        yield broker.start()
    finally:
        broker.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto of the test's own, to be restarted at will; mark the test `mosquitto`."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


def _fresh_prefix() -> str:
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def topic_prefix() -> str:
    """A TOPIC_PREFIX that no other test uses, so that tests share a Kafka without meeting."""
    return _fresh_prefix()


@pytest.fixture(scope="session")
def stack(
    kafka: KafkaBroker | ExistingKafka,
    mqtt: MqttBroker | ExistingMqtt,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """The three services as processes, on the shared brokers, under topics of their own."""
    # The services take their variables from the environment when they start, and only then.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
        patch.setenv("MQTT_HOST", mqtt.host)
        patch.setenv("MQTT_PORT", str(mqtt.port))
        patch.setenv("TOPIC_PREFIX", _fresh_prefix())
        patch.setenv("PARTITIONS", "2")
        running = Stack(StackSettings(), tmp_path_factory.mktemp("stack"), ports=Ports.free())
        running.start()
    try:
        yield running
    finally:
        running.stop()
