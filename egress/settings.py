"""Settings of the egress. The MQTT_ names are those of the MQTT contract."""

from typing import Literal

from pydantic import Field, SecretStr

from runtime.settings import KafkaSettings
from schemas.topics import TopicNames


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
    mqtt_business_events_enabled: bool = Field(True, description="publish csms/… (business events)")
    mqtt_protocol_events_enabled: bool = Field(True, description="publish ocpp/… (OCPP frames)")
    mqtt_version: Literal["5", "3.1.1"] = Field("5", description="MQTT protocol version")
    mqtt_qos: int = Field(
        1,
        ge=0,
        le=1,
        description="1: a record counts as delivered when the broker acknowledged it; "
        "0: when it was written to the socket, so a broken connection loses some",
    )
    mqtt_retain: bool = Field(False, description="ask the broker to keep each topic's last message")
    egress_ops_host: str = Field(
        "127.0.0.1", min_length=1, description="address of /healthz, /readyz and /metrics"
    )
    egress_ops_port: int = Field(9102, ge=1, le=65_535, description="their port")

    @property
    def topics(self) -> TopicNames:
        """Full names of the topics."""
        return TopicNames(self.topic_prefix)
