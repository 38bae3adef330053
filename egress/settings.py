"""Settings of the egress. The MQTT_ names are those of the MQTT contract."""

from typing import Literal, Self

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator

from egress.selection import selection
from runtime.settings import KafkaSettings
from schemas.topics import TopicNames

TOPIC_LEVELS = r"^([^/$+#\x00-\x1f\x7f][^+#\x00-\x1f\x7f]*)?$"
"""Levels of a topic name: no wildcards, and no `$` in front, which belongs to the broker."""


class EgressSettings(KafkaSettings):
    """Environment of `chargelog-egress`."""

    mqtt_enabled: bool = Field(True, description="false: say so and exit 0")
    mqtt_host: str = Field("localhost", min_length=1, description="MQTT broker")
    mqtt_port: int = Field(1883, ge=1, le=65_535, description="its port")
    mqtt_username: str | None = Field(None, description="user name at the broker")
    mqtt_password: SecretStr | None = Field(None, description="password at the broker")
    mqtt_client_id: str = Field(
        "",
        pattern=r"^[0-9A-Za-z._:-]{0,128}$",
        description="must differ between instances; not set: chargelog-egress-<random>",
    )
    mqtt_tls: bool = Field(False, description="connect with TLS (brokers listen on 8883 for it)")
    mqtt_tls_ca_file: FilePath | None = Field(
        None, description="authorities that sign the broker's certificate; not set: the system's"
    )
    mqtt_tls_cert_file: FilePath | None = Field(
        None, description="client certificate, with its chain"
    )
    mqtt_tls_key_file: FilePath | None = Field(None, description="its key, without a passphrase")
    mqtt_business_events_enabled: bool = Field(True, description="publish csms/… (business events)")
    mqtt_protocol_events_enabled: bool = Field(True, description="publish ocpp/… (OCPP frames)")
    mqtt_topic_filter: str = Field(
        "",
        description="publish only these: MQTT topic filters, comma-separated, such as "
        "csms/#,ocpp/messages/+/StartTransaction; not set: everything",
    )
    mqtt_topic_exclude: str = Field(
        "", description="leave these out: MQTT topic filters, such as ocpp/+/+/Heartbeat"
    )
    mqtt_topic_prefix: str = Field(
        "", pattern=TOPIC_LEVELS, description="topic levels put before every topic, such as site/a"
    )
    mqtt_version: Literal["5", "3.1.1"] = Field("5", description="MQTT protocol version")
    mqtt_qos: int = Field(
        1,
        ge=0,
        le=2,
        description="1: a record counts as delivered when the broker acknowledged it; "
        "2: the same, in two steps, for brokers and subscribers that ask for it; "
        "0: when it was written to the socket, so a broken connection loses some",
    )
    mqtt_retain: bool = Field(False, description="ask the broker to keep each topic's last message")
    mqtt_retain_status: bool = Field(
        False,
        description="publish each connector's last status on a topic of its own as well, retained: "
        "csms/connectors/<clientID>/<connectorId>/status",
    )
    mqtt_status_topic: str = Field(
        "",
        pattern=TOPIC_LEVELS,
        description="say here, retained, whether this instance is online; {clientID} stands for "
        "the MQTT client id; not set: nowhere",
    )
    mqtt_message_expiry_s: int | None = Field(
        None,
        ge=1,
        le=0xFFFF_FFFF,
        description="seconds after which the broker drops what it could not deliver; MQTT 5 only",
    )
    mqtt_keepalive_s: int = Field(
        30, ge=1, le=65_535, description="a broker that is silent for so long is given up"
    )
    mqtt_refused_tries: int = Field(
        3,
        ge=1,
        le=1000,
        description="tries after which what the broker refuses goes to the dead letter topic",
    )
    egress_ops_host: str = Field(
        "127.0.0.1", min_length=1, description="address of /healthz, /readyz and /metrics"
    )
    egress_ops_port: int = Field(9102, ge=1, le=65_535, description="their port")

    @property
    def topics(self) -> TopicNames:
        """Full names of the topics."""
        return TopicNames(self.topic_prefix)

    @property
    def only(self) -> list[str]:
        """Topic filters of what is published; empty: everything."""
        return _filters(self.mqtt_topic_filter)

    @property
    def without(self) -> list[str]:
        """Topic filters of what is left out."""
        return _filters(self.mqtt_topic_exclude)

    @property
    def topic_levels(self) -> str:
        """What is put before each topic, with its slash; empty: nothing."""
        levels = self.mqtt_topic_prefix.rstrip("/")
        return f"{levels}/" if levels else ""

    @field_validator("mqtt_topic_filter", "mqtt_topic_exclude")
    @classmethod
    def _are_filters(cls, text: str) -> str:
        selection(_filters(text), ())
        return text

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        files = (self.mqtt_tls_ca_file, self.mqtt_tls_cert_file, self.mqtt_tls_key_file)
        if any(files) and not self.mqtt_tls:
            raise ValueError("MQTT_TLS=true: MQTT_TLS_…_FILE has no meaning without it")
        if (self.mqtt_tls_cert_file is None) != (self.mqtt_tls_key_file is None):
            raise ValueError("MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE together, or neither")
        if self.mqtt_password is not None and self.mqtt_username is None and self._is_311:
            raise ValueError("MQTT_USERNAME with MQTT_PASSWORD: MQTT 3.1.1 has no password alone")
        if self.mqtt_message_expiry_s is not None and self._is_311:
            raise ValueError("MQTT_VERSION=5 with MQTT_MESSAGE_EXPIRY_S: 3.1.1 has no expiry")
        return self

    @property
    def _is_311(self) -> bool:
        return self.mqtt_version == "3.1.1"


def _filters(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")] if text.strip() else []
