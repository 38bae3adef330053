"""One MQTT connection on the asyncio loop, from CONNECT to its loss; it never reconnects.

paho-mqtt speaks the protocol; its sockets are watched by our loop instead of its thread, whose
wake-ups cost half the throughput. Each connection is a new paho client with a clean session:
what is unacknowledged lives in the Kafka log and in `egress.publisher`, and paho's own copies
would be sent again beside ours, in an order of their own.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from egress.errors import MqttConnectionError
from egress.properties import publish_properties
from egress.routing import Publication

_KEEPALIVE_S: Final = 30
_CONNACK_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 2.0
_MISC_INTERVAL_S: Final = 1.0
_RECEIVE_MAXIMUM: Final = 65_535
"""MQTT 5 §3.2.2.3.3: what holds when the broker names none."""
_HEADER_BYTES: Final = 40
"""Room for the rest of a PUBLISH packet: headers, lengths, packet id, content type."""
_PROTOCOLS: Final = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

OnAcknowledged = Callable[[int, ReasonCode], None]


class MqttOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect; the fields are those of `EgressSettings`."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    version: Literal["5", "3.1.1"] = "5"
    qos: int = 1
    retain: bool = False


class Loss(NamedTuple):
    """Why a connection ended."""

    reason: ReasonCode
    announced: bool
    """The broker sent a DISCONNECT packet with the reason (MQTT 5 only)."""
    silent: bool
    """Nobody closed it: no answer within the keep-alive time."""


class MqttConnection:
    """Publishes over one connection.

    Attributes:
        receive_maximum: Unacknowledged publications that the broker allows.
        maximum_packet_size: Bytes of a packet that the broker takes, or None.
    """

    def __init__(self, options: MqttOptions, on_acknowledged: OnAcknowledged) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            options: Where and how to connect.
            on_acknowledged: Called with a publication's id and its reason code.
        """
        self.receive_maximum = _RECEIVE_MAXIMUM
        self.maximum_packet_size: int | None = None
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._connack: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._lost: asyncio.Future[Loss] = self._loop.create_future()
        self._mqtt5 = options.version == "5"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            clean_session=None if self._mqtt5 else True,
            protocol=_PROTOCOLS[options.version],
            # True would make paho fall back to MQTT 3.1 on its own.
            reconnect_on_failure=False,
        )
        # paho's window scans all its messages at every PUBACK; ours is in egress.publisher.
        self._client.max_inflight_messages_set(0)
        if options.username is not None:
            self._client.username_pw_set(options.username, options.password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = lambda _c, _u, mid, reason, _p: on_acknowledged(mid, reason)

    async def open(self) -> None:
        """Connect and wait for the broker's consent.

        Raises:
            MqttConnectionError: Nobody answers, or the broker refuses.
        """
        try:
            # Name resolution and TCP connect block.
            await asyncio.to_thread(
                self._client.connect, self._options.host, self._options.port, _KEEPALIVE_S
            )
        except (OSError, UnicodeError) as error:
            raise MqttConnectionError(str(error) or type(error).__name__) from error
        self._watch()
        try:
            either: set[asyncio.Future[Any]] = {self._connack, self._lost}
            await asyncio.wait(
                either, timeout=_CONNACK_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            # Also when cancelled: a half-open connection would be left behind.
            if not self._connack.done() or self._connack.result().is_failure:
                self.abort()
        if self._connack.done():
            if self._connack.result().is_failure:
                raise MqttConnectionError(f"the broker refused: {self._connack.result()}")
        elif self._lost.done():
            raise MqttConnectionError("the broker closed the connection before CONNACK")
        else:
            raise MqttConnectionError(f"no CONNACK within {_CONNACK_TIMEOUT_S:.0f} s")

    def fits(self, publication: Publication) -> bool:
        """Whether the broker takes a packet of this size (MQTT 5 §3.2.2.3.6)."""
        if self.maximum_packet_size is None:
            return True
        properties = sum(len(n.encode()) + len(v.encode()) + 5 for n, v in publication.properties)
        size = len(publication.payload) + len(publication.topic.encode()) + properties
        return size + _HEADER_BYTES <= self.maximum_packet_size

    def publish(self, publication: Publication) -> int | None:
        """Hand a publication to the socket; its id, or None when the connection is gone.

        Raises:
            ValueError: MQTT can't carry it.
        """
        info = self._client.publish(
            publication.topic,
            publication.payload,
            qos=self._options.qos,
            retain=self._options.retain,
            properties=publish_properties(publication.properties) if self._mqtt5 else None,
        )
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    async def lost(self) -> Loss:
        """Keep the connection alive until it ends."""
        while not self._lost.done():
            await asyncio.wait({self._lost}, timeout=_MISC_INTERVAL_S)
            self._client.loop_misc()
        return self._lost.result()

    async def close(self) -> None:
        """Say goodbye and end the connection."""
        if self._client.socket() is None:
            return
        self._client.disconnect()
        await asyncio.wait({self._lost}, timeout=_CLOSE_TIMEOUT_S)
        self.abort()

    def abort(self) -> None:
        """End the connection without a goodbye; `lost` returns soon after."""
        sock = cast("socket.socket | None", self._client.socket())
        if sock is None:
            return
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The peer was faster: the socket is readable (end of file) all the same.
            return

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            # The CONNECT packet could not be written.
            raise MqttConnectionError("the broker closed the connection at once")
        client, loop = self._client, self._loop

        def closing(_client: Client, _userdata: Any, closed: Any) -> None:  # noqa: ANN401 - paho's signature
            loop.remove_reader(closed)
            loop.remove_writer(closed)

        def written(_client: Client, _userdata: Any, idle: Any) -> None:  # noqa: ANN401 - as above
            loop.remove_writer(idle)

        client.on_socket_close = closing
        client.on_socket_register_write = lambda _c, _u, s: loop.add_writer(s, client.loop_write)
        client.on_socket_unregister_write = written
        loop.add_reader(sock, client.loop_read)
        if client.want_write():
            loop.add_writer(sock, client.loop_write)

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM)
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", None)
        if not self._connack.done():
            self._connack.set_result(reason)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._lost.done():
            silent = reason.getName() == "Keep alive timeout"
            announced = flags.is_disconnect_packet_from_server
            self._lost.set_result(Loss(reason, announced=announced, silent=silent))
