"""The whole system on this machine: brokers, topics, the three services, each its own process."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

from devstack.errors import StartError
from devstack.existing import ExistingKafka, ExistingMqtt, kafka_broker, mqtt_broker
from devstack.kafka import KafkaBroker
from devstack.mqtt import MqttBroker
from devstack.process import LOCALHOST, accepts_connections, free_port
from devstack.service import Service
from devstack.settings import StackSettings
from page.mqtt_js import MQTT_JS
from page.npm_package import cached, fetch
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

Report = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is); equal: it is done.
"""

_KAFKA_PORT: Final = 9092
_MQTT_PORT: Final = 1883
_MQTT_WEBSOCKET_PORT: Final = 8083


class Ports(NamedTuple):
    """Where things listen on 127.0.0.1."""

    kafka: int
    mqtt: int
    ingress: int
    ingress_ops: int
    processor_web: int
    egress_ops: int
    mqtt_websocket: int
    page: int

    @classmethod
    def free(cls) -> Self:
        """Free ports everywhere, for a stack that meets no other."""
        return cls(*(free_port() for _ in cls._fields))

    @classmethod
    def of(cls, settings: StackSettings) -> Self:
        """The settings' ports; the usual ports for the brokers where these are free."""
        return cls(
            kafka=_unless_taken(_KAFKA_PORT),
            mqtt=_unless_taken(_MQTT_PORT),
            ingress=settings.ingress_port,
            ingress_ops=settings.ingress_ops_port,
            processor_web=settings.processor_web_port,
            egress_ops=settings.egress_ops_port,
            mqtt_websocket=_unless_taken(_MQTT_WEBSOCKET_PORT),
            page=_unless_taken(settings.page_port),
        )


def _unless_taken(port: int) -> int:
    return free_port() if accepts_connections(port) else port


class Stack:
    """Starts everything in order, stops everything in order; a context manager.

    Args:
        settings: Name existing brokers; everything else is handed to the services as it is.
        directory: Where data and logs go.
        ports: Where things listen.
        report: Told about each step.
        page: Serve the live page too, where MQTT is on and the broker's websocket listener known.

    Attributes:
        kafka: The broker, ours or an existing one.
        mqtt: As `kafka`.
        topics: Names of the topics.
        ports: As given.
        services: ingress, processor and, unless MQTT_ENABLED=false, egress; page, if it is served.
        mqtt_url: Where a browser reaches MQTT, or None where an existing broker's is not known.
    """

    def __init__(
        self,
        settings: StackSettings,
        directory: Path,
        *,
        ports: Ports,
        report: Report = lambda _step, _done, _total: None,
        page: bool = False,
    ) -> None:
        self._settings = settings
        self._report = report
        self.ports = ports
        self.topics = TopicNames(settings.topic_prefix)
        self.kafka: KafkaBroker | ExistingKafka = kafka_broker(
            settings.existing_kafka,
            directory / "kafka",
            port=ports.kafka,
            progress=lambda done, total: report("fetching Kafka", done, total),
        )
        self.mqtt: MqttBroker | ExistingMqtt = mqtt_broker(
            settings.existing_mqtt,
            settings.mqtt_port,
            directory / "mqtt",
            local_port=ports.mqtt,
            local_websocket_port=ports.mqtt_websocket,
        )
        self.mqtt_url = settings.existing_mqtt_url
        if self.mqtt_url is None and settings.existing_mqtt is None:
            self.mqtt_url = f"ws://{LOCALHOST}:{ports.mqtt_websocket}"
        environment = self._environment()
        ops_ports = {
            "ingress": ports.ingress_ops,
            "processor": ports.processor_web,
        }
        if settings.mqtt_enabled:
            ops_ports["egress"] = ports.egress_ops
            if page and self.mqtt_url is not None:
                ops_ports["page"] = ports.page
        self.services = {
            name: Service(name, directory, port, environment) for name, port in ops_ports.items()
        }

    @property
    def ingress_url(self) -> str:
        """Where charge points connect; the identity comes after it."""
        host = self._settings.ingress_host
        return f"ws://{LOCALHOST if host in ('0.0.0.0', '::') else host}:{self.ports.ingress}"  # noqa: S104 - compared, not bound

    @property
    def mqtt_port(self) -> int:
        """The broker's port for the MQTT version that is set."""
        return self.mqtt.v311_port if self._settings.mqtt_version == "3.1.1" else self.mqtt.port

    def start(self) -> Self:
        """Start everything and wait until it is ready; what was started is stopped if it fails.

        Raises:
            DevstackError: A part did not come up; says which, and where its log is.
            TopicError: A topic of an existing Kafka breaks the contract.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything, each service before what it needs. Safe to call twice."""
        with contextlib.ExitStack() as stack:
            # The last one registered is called first, and a failure skips none of the others.
            stack.callback(self.kafka.close)
            stack.callback(self.mqtt.close)
            for service in reversed(self.services.values()):
                stack.callback(service.close)

    def check(self) -> None:
        """Raise where a service has ended by itself.

        Raises:
            StartError: Says which, with the end of its log.
        """
        for service in self.services.values():
            if not service.running:
                raise StartError(
                    f"{service.name} ended with exit code {service.exit_code}; its log "
                    f"{service.log_path} ends with:\n{service.log_tail()}"
                )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._step("starting Kafka", self.kafka.start)
        if self._settings.mqtt_enabled:
            self._step("starting the MQTT broker", self.mqtt.start)
        self._step("creating topics", self._ensure_topics)
        if "page" in self.services and not cached(MQTT_JS).exists():
            self._step("fetching mqtt.js", lambda: fetch(MQTT_JS))
        for service in self.services.values():
            service.spawn()
        for name, service in self.services.items():
            self._step(f"starting the {name}", service.wait_ready)

    def _step(self, what: str, action: Callable[[], object]) -> None:
        self._report(what, 0, 1)
        action()
        self._report(what, 1, 1)

    def _ensure_topics(self) -> None:
        ensure_topics(self.kafka.access, self.topics, self._settings.partitions)

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        flags = {
            "MQTT_ENABLED": settings.mqtt_enabled,
            "MQTT_BUSINESS_EVENTS_ENABLED": settings.mqtt_business_events_enabled,
            "MQTT_PROTOCOL_EVENTS_ENABLED": settings.mqtt_protocol_events_enabled,
        }
        return {
            **{name: str(flag).lower() for name, flag in flags.items()},
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MQTT_HOST": self.mqtt.host,
            "MQTT_PORT": str(self.mqtt_port),
            "INGRESS_PORT": str(self.ports.ingress),
            "INGRESS_OPS_PORT": str(self.ports.ingress_ops),
            "PROCESSOR_WEB_PORT": str(self.ports.processor_web),
            "EGRESS_OPS_PORT": str(self.ports.egress_ops),
            "PAGE_PORT": str(self.ports.page),
            **({} if self.mqtt_url is None else {"PAGE_MQTT_URL": self.mqtt_url}),
            "LOG_FORMAT": settings.log_format,
        }
