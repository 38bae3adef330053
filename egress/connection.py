"""One MQTT connection on the asyncio loop, from CONNECT to its loss; it never reconnects.

Each connection begins a clean session: what is unacknowledged lives in the Kafka log and in
`egress.publisher`, and a broker's or library's own copies would be sent again beside ours, in an
order of their own.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

import msgspec
from paho.mqtt.packettypes import PacketTypes

from egress import packets
from egress.errors import MqttConnectionError, MqttProtocolError, TlsFilesError
from egress.packets import Connack, Credentials, Version, Will
from egress.properties import publish_properties
from egress.routing import Publication

_CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 2.0
_RECEIVE_MAXIMUM: Final = 65_535
"""MQTT 5 §3.2.2.3.3: what holds when the broker names none."""
_LAST_PACKET_ID: Final = 65_535
_BUFFER_BYTES: Final = 1024 * 1024
"""Bytes that may wait for the socket before publishing pauses."""


_NO_RETAIN: Final = ": unset MQTT_RETAIN, MQTT_RETAIN_STATUS and MQTT_STATUS_TOPIC"
_HINTS: Final = {
    "0x9A": _NO_RETAIN,
    "0x9B": ": unset MQTT_STATUS_TOPIC, whose last will has QoS 1",
}
"""What a will that the broker does not take asks of the settings, by reason code."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the TLS connection (PEM); without a CA file the system's authorities hold."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files, which may have been replaced since the last connection.

        Raises:
            TlsFilesError: One is missing or holds something else.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise TlsFilesError(
                f"MQTT_TLS_CA_FILE, MQTT_TLS_CERT_FILE or MQTT_TLS_KEY_FILE: {error}"
            ) from error
        return context


class MqttOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect; the fields are those of `EgressSettings`."""

    host: str
    port: int
    client_id: str
    credentials: Credentials = Credentials()
    version: Version = "5"
    qos: int = 1
    retain: bool = False
    retain_some: bool = False
    """Some publications ask for it themselves."""
    expiry_s: int | None = None
    keepalive_s: int = 30
    tls: Tls | None = None
    will: Will | None = None


class Loss(NamedTuple):
    """Why a connection ended."""

    reason: str
    code: int | None = None
    """The broker's reason code, where it sent a DISCONNECT packet (MQTT 5 only)."""
    silent: bool = False
    """Nobody closed it: no answer within the keep-alive time."""
    ours: bool = False
    """We gave it up."""

    @property
    def unexplained(self) -> bool:
        """The broker closed it without a word: perhaps because of what it was sent."""
        return self.code is None and not self.silent and not self.ours


class Listener(Protocol):
    """Whoever publishes over the connection."""

    def on_acknowledged(self, packet_id: int, code: int) -> None:
        """The broker has settled a publication; codes from 0x80 on are failures."""

    def on_room(self) -> None:
        """Some acknowledgements came, or the socket takes more: publish on."""


class MqttConnection(asyncio.Protocol):
    """Publishes over one connection.

    Attributes:
        limits: What the broker's CONNACK said.
    """

    def __init__(self, options: MqttOptions, listener: Listener) -> None:
        """Nothing is sent yet."""
        self.limits = Connack()
        self._options = options
        self._listener = listener
        self._mqtt5 = options.version == "5"
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = packets.PacketReader()
        self._connack: asyncio.Future[Connack] = self._loop.create_future()
        self._lost: asyncio.Future[Loss] = self._loop.create_future()
        self._loss: Loss | None = None
        self._out: list[bytes] = []
        self._written: list[int] = []
        self._writable = True
        self._last_id = 0
        self._unsettled: set[int] = set()
        self._last_sent = self._last_received = self._loop.time()
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None
        self._handlers: dict[int, Callable[[bytes], None]] = {
            packets.CONNACK: self._on_connack,
            packets.PUBACK: self._on_settled,
            packets.PUBREC: self._on_pubrec,
            packets.PUBCOMP: self._on_settled,
            packets.PINGRESP: lambda _: None,
            packets.DISCONNECT: self._on_disconnect,
        }

    @property
    def receive_maximum(self) -> int:
        """Unacknowledged publications that the broker allows."""
        return self.limits.receive_maximum or _RECEIVE_MAXIMUM

    @property
    def is_writable(self) -> bool:
        """Whether the socket keeps up."""
        return self._writable

    async def open(self) -> None:
        """Connect and wait for the broker's consent.

        Raises:
            MqttConnectionError: Nobody answers, or the broker refuses.
        """
        options = self._options
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connect()
                either: set[asyncio.Future[Any]] = {self._connack, self._lost}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            self._take_limits()
        except TimeoutError as error:
            self.abort("no CONNACK")
            raise MqttConnectionError(f"no answer within {_CONNECT_TIMEOUT_S:.0f} s") from error
        except (OSError, UnicodeError) as error:
            raise MqttConnectionError(str(error) or type(error).__name__) from error
        except BaseException:
            # Also when cancelled: a half-open connection would be left behind.
            self.abort("given up")
            raise
        # 0 means that the broker does not look whether we are there; we still do.
        self._keep_alive(self.limits.keepalive_s or options.keepalive_s)

    def publish(self, publication: Publication) -> int:
        """Write a publication with the next turn of the loop; its packet id.

        Raises:
            ValueError: MQTT, or this broker, can't carry it.
        """
        options = self._options
        packet_id = self._last_id % _LAST_PACKET_ID + 1
        while packet_id in self._unsettled:
            packet_id = packet_id % _LAST_PACKET_ID + 1
        packet = packets.publish_packet(
            publication.topic,
            self._properties(publication) + publication.payload,
            qos=options.qos,
            retain=options.retain or publication.retain,
            packet_id=packet_id,
        )
        limit = self.limits.maximum_packet_size
        if limit is not None and len(packet) > limit:
            raise ValueError(f"larger than the broker takes ({limit} B)")
        self._last_id = packet_id
        self._unsettled.add(packet_id)
        if not options.qos:
            self._written.append(packet_id)
        self._write(packet)
        return packet_id

    async def lost(self) -> Loss:
        """Wait until the connection ends."""
        await asyncio.wait({self._lost})
        return self._lost.result()

    async def close(self, farewell: Publication | None = None) -> None:
        """Say goodbye, after a last publication where there is one, and end the connection."""
        if self._transport is None or self._lost.done():
            return
        if farewell is not None:
            self.publish(farewell)
        self._write(packets.DISCONNECT_PACKET)
        self._flush()
        self._loss = self._loss or Loss("closed", ours=True)
        self._transport.close()
        await asyncio.wait({self._lost}, timeout=_CLOSE_TIMEOUT_S)
        self.abort("closed")

    def abort(self, reason: str) -> None:
        """End the connection without a goodbye; `lost` returns soon after."""
        self._end(Loss(reason, ours=True))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        options = self._options
        self._transport.write(
            packets.connect_packet(
                options.client_id,
                version=options.version,
                keepalive_s=options.keepalive_s,
                credentials=options.credentials,
                will=options.will,
            )
        )

    def data_received(self, data: bytes) -> None:
        """Settle what the broker acknowledges."""
        self._last_received = self._loop.time()
        self._pinged = False
        try:
            for first, body in self._reader.feed(data):
                kind = first & 0xF0
                handler = self._handlers.get(kind)
                # The first packet must be CONNACK (MQTT 5 §3.2.0-1).
                if handler is None or (kind != packets.CONNACK and not self._connack.done()):
                    raise MqttProtocolError(f"the broker sent a packet of type 0x{first:02X}")  # noqa: TRY301 - one way out for all
                handler(body)
        except MqttProtocolError as error:
            self._end(Loss(str(error), ours=True))
            return
        self._listener.on_room()

    def pause_writing(self) -> None:
        """The socket does not keep up."""
        self._writable = False

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._writable = True
        self._listener.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever ended it, it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._lost.done():
            reason = str(exc) if exc is not None else "closed by the broker"
            self._lost.set_result(self._loss or Loss(reason))

    async def _connect(self) -> None:
        options = self._options
        tls = None
        if options.tls is not None:
            try:
                tls = options.tls.context()
            except TlsFilesError as error:
                raise MqttConnectionError(str(error)) from error
        await self._loop.create_connection(lambda: self, options.host, options.port, ssl=tls)

    def _take_limits(self) -> None:
        if not self._connack.done():
            raise MqttConnectionError(
                f"the connection ended before CONNACK: {self._lost.result().reason}"
            )
        limits, options = self._connack.result(), self._options
        self.limits = limits
        if limits.refusal is not None:
            hint = _HINTS.get(limits.refusal[: len("0x9A")], "")
            raise MqttConnectionError(f"the broker refused: {limits.refusal}{hint}")
        if limits.maximum_qos < options.qos:
            raise MqttConnectionError(
                f"the broker takes QoS {limits.maximum_qos} at most: set MQTT_QOS"
            )
        wanted = options.retain or options.retain_some or options.will is not None
        if wanted and not limits.retain_available:
            raise MqttConnectionError(f"the broker keeps no messages{_NO_RETAIN}")

    def _properties(self, publication: Publication) -> bytes:
        if not self._mqtt5:
            return b""
        return publish_properties(publication.properties, self._options.expiry_s)

    def _write(self, packet: bytes) -> None:
        if not self._out:
            # Everything that one turn of the loop produces goes out in one piece.
            self._loop.call_soon(self._flush)
        self._out.append(packet)

    def _flush(self) -> None:
        if self._transport is None or not self._out:
            return
        packets_out, self._out = self._out, []
        if self._transport.is_closing():
            return
        self._transport.write(b"".join(packets_out))
        self._last_sent = self._loop.time()
        if self._written:
            written, self._written = self._written, []
            for packet_id in written:
                self._settle(packet_id, packets.SUCCESS)
            self._listener.on_room()

    def _keep_alive(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds / 4, self._keep_alive, seconds)
        now = self._loop.time()
        if self._pinged and now - self._last_received >= seconds:
            self._end(Loss(f"no answer for {seconds:.0f} s", silent=True))
        elif min(self._last_sent, self._last_received) <= now - seconds / 2:
            self._pinged = True
            self._write(packets.PINGREQ_PACKET)

    def _end(self, loss: Loss) -> None:
        self._loss = self._loss or loss
        if self._transport is not None:
            self._transport.abort()

    def _on_connack(self, body: bytes) -> None:
        if not self._connack.done():
            self._connack.set_result(packets.read_connack(body, self._options.version))

    def _on_settled(self, body: bytes) -> None:
        self._settle(*packets.read_acknowledgement(body))

    def _on_pubrec(self, body: bytes) -> None:
        packet_id, code = packets.read_acknowledgement(body)
        if code < packets.FAILURE:
            self._write(packets.pubrel_packet(packet_id))
        else:
            # A refusal ends the exchange (MQTT 5 §4.3.3).
            self._settle(packet_id, code)

    def _settle(self, packet_id: int, code: int) -> None:
        self._unsettled.discard(packet_id)
        self._listener.on_acknowledged(packet_id, code)

    def _on_disconnect(self, body: bytes) -> None:
        code = body[0] if body else packets.SUCCESS
        self._end(Loss(packets.reason_text(PacketTypes.DISCONNECT, code), code=code))
