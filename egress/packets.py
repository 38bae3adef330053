"""MQTT 3.1.1 and 5 control packets, as far as a publisher needs them. Pure: bytes in, bytes out.

Written here because every client library that was measured spends more on one packet than the
whole rest of the egress on one record: docs/decisions/0021-mqtt-packets-and-sessions.md. paho-mqtt
still names the reason codes and reads the properties of the rare packets.
"""

import struct
from typing import Final, Literal, NamedTuple, TypeAlias

from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from egress.errors import MqttProtocolError

Version: TypeAlias = Literal["5", "3.1.1"]

CONNACK: Final = 0x20
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBCOMP: Final = 0x70
PINGRESP: Final = 0xD0
DISCONNECT: Final = 0xE0

PINGREQ_PACKET: Final = b"\xc0\x00"
DISCONNECT_PACKET: Final = b"\xe0\x00"
"""Reason 0, normal: the broker drops the will (MQTT 5 §3.14.4)."""
SUCCESS: Final = 0x00
FAILURE: Final = 0x80
"""Reason codes from here on are failures (MQTT 5 §2.4)."""

_CONNECT: Final = 0x10
_PUBLISH: Final = 0x30
_RETAIN: Final = 0x01
_QOS_SHIFT: Final = 1
_LEVELS: Final[dict[Version, int]] = {"5": 5, "3.1.1": 4}
_CLEAN_START: Final = 0x02
_WILL: Final = 0x2C
"""With a will, QoS 1, retained (MQTT 5 §3.1.2.5 to §3.1.2.7)."""
_USERNAME: Final = 0x80
_PASSWORD: Final = 0x40
_MORE: Final = 0x80
_SEVEN_BITS: Final = 0x7F
_LONGEST: Final = 268_435_455
_MAX_LENGTH_BYTES: Final = 4
_MAX_INCOMING: Final = 65_536
"""Bytes of a packet that is read at most: a publisher is sent acknowledgements only."""
_ID_BYTES: Final = 2
_CONNACK_311: Final = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}
"""Return codes of MQTT 3.1.1 (§3.2.2.3)."""


class Will(NamedTuple):
    """What the broker publishes, retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Credentials(NamedTuple):
    """Who connects; MQTT 3.1.1 has no password without a user name (§3.1.2.9)."""

    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        """The password is never shown."""
        return f"Credentials(username={self.username!r})"


NOBODY: Final = Credentials()


class Connack(NamedTuple):
    """The broker's answer to CONNECT.

    Attributes:
        refusal: Why it refuses, or None.
        receive_maximum: Unacknowledged publications that it allows; None: it names no limit.
        maximum_packet_size: Bytes of a packet that it takes, or None.
        maximum_qos: Highest QoS that it takes.
        retain_available: Whether it keeps messages.
        keepalive_s: The keep-alive time that it asks for in place of ours, or None.
    """

    refusal: str | None = None
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None
    maximum_qos: int = 2
    retain_available: bool = True
    keepalive_s: int | None = None


def connect_packet(
    client_id: str,
    *,
    version: Version,
    keepalive_s: int,
    credentials: Credentials = NOBODY,
    will: Will | None = None,
) -> bytes:
    """CONNECT with a clean session, which ends with the connection (MQTT 5 §3.1)."""
    flags = _CLEAN_START
    no_properties = b"\x00" if version == "5" else b""
    payload = [_text(client_id)]
    if will is not None:
        flags |= _WILL
        payload += [no_properties, _text(will.topic), _binary(will.payload)]
    if credentials.username is not None:
        flags |= _USERNAME
        payload.append(_text(credentials.username))
    if credentials.password is not None:
        flags |= _PASSWORD
        payload.append(_text(credentials.password))
    head = b"\x00\x04MQTT" + bytes((_LEVELS[version], flags)) + keepalive_s.to_bytes(2, "big")
    return _packet(_CONNECT, b"".join((head, no_properties, *payload)))


def publish_packet(topic: str, content: bytes, *, qos: int, retain: bool, packet_id: int) -> bytes:
    """PUBLISH (MQTT 5 §3.3).

    Args:
        topic: Its name.
        content: The packed properties with their length in front (MQTT 5 only), and the payload.
        qos: 0, 1 or 2.
        retain: Whether the broker keeps it for later subscribers.
        packet_id: 1 to 65,535; not sent with QoS 0.

    Raises:
        ValueError: MQTT can't carry it.
    """
    first = _PUBLISH | qos << _QOS_SHIFT | retain
    name = _text(topic)
    if qos:
        return _packet(first, name + packet_id.to_bytes(2, "big") + content)
    return _packet(first, name + content)


def pubrel_packet(packet_id: int) -> bytes:
    """PUBREL, the second half of QoS 2 (MQTT 5 §3.6); success needs no reason code."""
    return b"\x62\x02" + packet_id.to_bytes(2, "big")


class PacketReader:
    """Cuts what arrives into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The packets that are complete now: first byte and everything behind the length.

        Raises:
            MqttProtocolError: The bytes are no MQTT packets that a publisher is sent.
        """
        buffer = self._rest + data if self._rest else data
        packets: list[tuple[int, bytes]] = []
        at, end = 0, len(buffer)
        while end - at > 1:
            length, body = buffer[at + 1], at + 2
            if length & _MORE:
                decoded = _read_variable(buffer, at + 1)
                if decoded is None:
                    break
                length, body = decoded
            if length > _MAX_INCOMING:
                raise MqttProtocolError(f"the broker sent a packet of {length} bytes")
            if body + length > end:
                break
            packets.append((buffer[at], buffer[body : body + length]))
            at = body + length
        self._rest = buffer[at:]
        return packets


def read_connack(body: bytes, version: Version) -> Connack:
    """The content of a CONNACK (MQTT 5 §3.2).

    Raises:
        MqttProtocolError: It is cut off or malformed.
    """
    if len(body) < 2:  # noqa: PLR2004 - flags and reason
        raise MqttProtocolError("the broker's CONNACK is cut off")
    code = body[1]
    if version == "3.1.1":
        return Connack(None if code == SUCCESS else _CONNACK_311.get(code, f"code {code}"))
    found = _properties(PacketTypes.CONNACK, body[2:])
    return Connack(
        None if code < FAILURE else reason_text(PacketTypes.CONNACK, code),
        getattr(found, "ReceiveMaximum", None),
        getattr(found, "MaximumPacketSize", None),
        getattr(found, "MaximumQoS", 2),
        bool(getattr(found, "RetainAvailable", 1)),
        getattr(found, "ServerKeepAlive", None),
    )


def read_acknowledgement(body: bytes) -> tuple[int, int]:
    """Packet id and reason code of a PUBACK, PUBREC or PUBCOMP (MQTT 5 §3.4); 0: success.

    Raises:
        MqttProtocolError: It is cut off.
    """
    if len(body) < _ID_BYTES:
        raise MqttProtocolError("the broker's acknowledgement is cut off")
    return body[0] << 8 | body[1], body[2] if len(body) > _ID_BYTES else SUCCESS


def reason_text(packet_type: int, code: int) -> str:
    """A reason code as `0x87 Not authorized`."""
    # Brokers use codes that MQTT lists for other packets only; DISCONNECT has nearly all of them.
    for known_by in (packet_type, PacketTypes.DISCONNECT):
        try:
            name = ReasonCode(known_by, identifier=code).getName()
        except (AssertionError, KeyError, ValueError):
            continue
        return f"0x{code:02X} {name}"
    return f"0x{code:02X}"


def variable_length(number: int) -> bytes:
    """A length as MQTT writes it: seven bits a byte, the lowest first (MQTT 5 §1.5.5).

    Raises:
        ValueError: It is above 268,435,455.
    """
    if number <= _SEVEN_BITS:
        return bytes((number,))
    if number > _LONGEST:
        raise ValueError(f"{number} bytes are more than an MQTT packet can have")
    out = bytearray()
    while number > _SEVEN_BITS:
        out.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_variable(buffer: bytes, at: int) -> tuple[int, int] | None:
    number = 0
    for position in range(_MAX_LENGTH_BYTES):
        if at + position >= len(buffer):
            return None
        byte = buffer[at + position]
        number |= (byte & _SEVEN_BITS) << 7 * position
        if not byte & _MORE:
            return number, at + position + 1
    raise MqttProtocolError("the broker sent a length of more than four bytes")


def _properties(packet_type: int, data: bytes) -> Properties:
    found = Properties(packet_type)  # type: ignore[no-untyped-call] # paho's
    try:
        found.unpack(data)  # type: ignore[no-untyped-call] # paho's
    except (MQTTException, IndexError, KeyError, ValueError, struct.error) as error:
        raise MqttProtocolError(f"the broker's properties can't be read: {error}") from error
    return found


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + variable_length(len(body)) + body


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    try:
        return len(data).to_bytes(2, "big") + data
    except OverflowError:
        raise ValueError(f"a text of {len(data)} bytes: {data[:32]!r}…") from None
