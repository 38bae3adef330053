"""Settings of the local stack: those of its services, checked before anything is started."""

from typing import Literal

from egress.settings import EgressSettings
from ingress.settings import IngressSettings
from page.settings import PageSettings
from processor.settings import ProcessorSettings
from runtime.kafka_access import KafkaAccess


class StackSettings(IngressSettings, ProcessorSettings, EgressSettings, PageSettings):
    """Every variable of the services and of the page. Two decide what runs here.

    KAFKA_BOOTSTRAP_SERVERS or MQTT_HOST set: that broker is used, and none is started for it.
    """

    log_format: Literal["json", "console"] = "console"

    @property
    def existing_kafka(self) -> KafkaAccess | None:
        """The Kafka to be used, or None for one of our own."""
        return self.kafka if "kafka_bootstrap_servers" in self.model_fields_set else None

    @property
    def existing_mqtt(self) -> str | None:
        """Host of the MQTT broker to be used, or None for one of our own."""
        return self.mqtt_host if "mqtt_host" in self.model_fields_set else None

    @property
    def existing_mqtt_url(self) -> str | None:
        """The websocket listener of the MQTT broker to be used, where one was named."""
        return self.page_mqtt_url if "page_mqtt_url" in self.model_fields_set else None
