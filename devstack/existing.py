"""Brokers that run already and are named by environment variables: nothing is started for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from devstack.kafka import KafkaBroker
from devstack.kafka_jars import Progress
from devstack.mqtt import MqttBroker

_DEFAULT_MQTT_PORT = "1883"


class _SomeoneElses:
    """The lifecycle of a broker that is not ours to start or stop."""

    def start(self) -> Self:
        """Nothing to do."""
        return self

    def close(self) -> None:
        """Nothing to do."""


class ExistingKafka(_SomeoneElses):
    """The Kafka that KAFKA_BOOTSTRAP_SERVERS names.

    Attributes:
        bootstrap_servers: The variable's value.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers


class ExistingMqtt(_SomeoneElses):
    """The MQTT broker that MQTT_HOST and MQTT_PORT name.

    Attributes:
        host: Name or address.
        port: Port for MQTT 5; one for all versions, as with other brokers than rumqttd.
        v311_port: Port for MQTT 3.1.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = self.v311_port = port


def kafka(
    environment: Mapping[str, str], directory: Path | None = None, progress: Progress | None = None
) -> KafkaBroker | ExistingKafka:
    """The existing Kafka where KAFKA_BOOTSTRAP_SERVERS is set, else a local one, not started."""
    servers = environment.get("KAFKA_BOOTSTRAP_SERVERS")
    return ExistingKafka(servers) if servers else KafkaBroker(directory, progress=progress)


def mqtt(
    environment: Mapping[str, str], directory: Path | None = None
) -> MqttBroker | ExistingMqtt:
    """The existing MQTT broker where MQTT_HOST is set, else a local one, not started."""
    host = environment.get("MQTT_HOST")
    if not host:
        return MqttBroker(directory)
    return ExistingMqtt(host, int(environment.get("MQTT_PORT") or _DEFAULT_MQTT_PORT))
