"""Brokers that run already and are named by environment variables: nothing is started for them."""

from pathlib import Path
from typing import Self

from devstack.kafka import KafkaBroker
from devstack.kafka_jars import Progress
from devstack.mqtt import MqttBroker
from runtime.kafka_access import KafkaAccess
from runtime.settings import KafkaSettings


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
        access: How one gets in.
    """

    def __init__(self, access: KafkaAccess) -> None:
        self.access = access
        self.bootstrap_servers = access.servers


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


def named_kafka() -> KafkaAccess | None:
    """The Kafka that the environment names, or None where it names none."""
    settings = KafkaSettings(_env_file=None)
    return settings.kafka if "kafka_bootstrap_servers" in settings.model_fields_set else None


def kafka_broker(
    existing: KafkaAccess | None,
    directory: Path | None = None,
    *,
    port: int | None = None,
    progress: Progress | None = None,
) -> KafkaBroker | ExistingKafka:
    """The Kafka that is there already, or else a local one, not started yet."""
    if existing is not None:
        return ExistingKafka(existing)
    return KafkaBroker(directory, port=port, progress=progress)


def mqtt_broker(
    host: str | None,
    port: int,
    directory: Path | None = None,
    *,
    local_port: int | None = None,
    local_websocket_port: int | None = None,
) -> MqttBroker | ExistingMqtt:
    """The broker at `host` and `port`, or else, without a host, a local one, not started yet."""
    if host:
        return ExistingMqtt(host, port)
    return MqttBroker(directory, port=local_port, websocket_port=local_websocket_port)
