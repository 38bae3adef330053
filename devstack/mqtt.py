"""MQTT brokers on this machine: rumqttd from a wheel, and Debian's mosquitto where installed."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devstack.errors import MissingToolError
from devstack.process import LOCALHOST, LocalProcess, accepts_connections, free_port

# rumqttd's limits, as generous as they go: payload in bytes (its default of 20,480 would close the
# connection at a long OCPP frame), unacknowledged publishes per client, clients.
MAX_PAYLOAD: Final = 1024 * 1024
MAX_INFLIGHT: Final = 1000
MAX_CONNECTIONS: Final = 10_000

_LISTENER: Final = """
[{protocol}.1]
name = "{protocol}"
listen = "{host}:{port}"
next_connection_delay_ms = 1
    [{protocol}.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = {max_payload}
    max_inflight_count = {max_inflight}
    dynamic_filters = true
"""

_ROUTER: Final = """\
id = 0
[router]
id = 0
max_connections = {max_connections}
max_outgoing_packet_count = 1000
# A subscriber that falls further behind than 10 segments on a filter loses the oldest messages.
max_segment_size = 104857600
max_segment_count = 10
"""


class MqttBroker(LocalProcess):
    """rumqttd (package `iotcore`): MQTT 3.1.1, MQTT 5 and websockets, in memory only.

    Attributes:
        host: The loopback address.
        port: Listener of MQTT 5.
        v311_port: Listener of MQTT 3.1.1; rumqttd needs one for each version. It drops a client
            that is to get what an MQTT 5 client published with properties (see
            `devstack.rumqttd`): for publishers and for subscribers of MQTT 3.1.1 publishers.
        websocket_port: Listener of MQTT 5 over websockets.
    """

    host: Final = LOCALHOST
    stop_timeout = 5.0

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        v311_port: int | None = None,
        websocket_port: int | None = None,
    ) -> None:
        super().__init__("MQTT", directory)
        self.port = port or free_port()
        self.v311_port = v311_port or free_port()
        self.websocket_port = websocket_port or free_port()

    def prepare(self) -> None:
        """Write the configuration."""
        listeners = {"v4": self.v311_port, "v5": self.port}
        text = _ROUTER.format(max_connections=MAX_CONNECTIONS) + "".join(
            _LISTENER.format(
                protocol=protocol,
                host=self.host,
                port=port,
                max_payload=MAX_PAYLOAD,
                max_inflight=MAX_INFLIGHT,
            )
            for protocol, port in listeners.items()
        )
        self._config.write_text(text, encoding="utf-8")

    def command(self) -> Sequence[str]:
        """Rumqttd and the websocket listener in front of it, in one process."""
        ports = ("--websocket-port", str(self.websocket_port), "--mqtt-port", str(self.port))
        options = ("--config", str(self._config), *ports)
        return (sys.executable, "-m", "devstack.rumqttd", *options)

    def is_ready(self) -> bool:
        """Whether every listener accepts connections."""
        ports = (self.port, self.v311_port, self.websocket_port)
        return all(accepts_connections(port) for port in ports)

    @property
    def _config(self) -> Path:
        return self.directory / "rumqttd.toml"


class Mosquitto(LocalProcess):
    """Debian's mosquitto: sessions and queued messages survive a restart.

    Attributes:
        host: The loopback address.
        port: Listener of MQTT 3.1.1 and 5.
    """

    host: Final = LOCALHOST
    stop_timeout = 5.0

    def __init__(self, directory: Path | None = None, *, port: int | None = None) -> None:
        super().__init__("Mosquitto", directory)
        self.port = port or free_port()

    def prepare(self) -> None:
        """Write the configuration."""
        lines = (
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.directory}/",
            # Saved at every change (the interval counts changes then), so that what was
            # acknowledged survives a SIGKILL too; slow under load.
            "autosave_on_changes true",
            "autosave_interval 1",
            # The default of 1000 would drop what a subscriber missed while it was away.
            "max_queued_messages 0",
            "log_type error",
            "log_type warning",
            "log_dest stdout",
            # Started by root it would become the user "mosquitto", who can't write here.
            *(("user root",) if os.geteuid() == 0 else ()),
        )
        self._config.write_text("\n".join((*lines, "")), encoding="utf-8")

    def command(self) -> Sequence[str]:
        """The installed program.

        Raises:
            MissingToolError: It is not installed.
        """
        # Debian puts it where only root's PATH looks.
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
        program = shutil.which("mosquitto", path=path)
        if program is None:
            raise MissingToolError("mosquitto is not installed; on Debian: apt install mosquitto")
        return (program, "-c", str(self._config))

    def is_ready(self) -> bool:
        """Whether the listener accepts connections."""
        return accepts_connections(self.port)

    @property
    def _config(self) -> Path:
        return self.directory / "mosquitto.conf"
