"""egress.packets against paho's own reader, and against what brokers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from egress.errors import MqttProtocolError
from egress.packets import (
    CONNACK,
    PUBACK,
    Connack,
    Credentials,
    PacketReader,
    Version,
    Will,
    connect_packet,
    publish_packet,
    pubrel_packet,
    read_acknowledgement,
    read_connack,
    reason_text,
    variable_length,
)
from egress.properties import publish_properties

# MQTT strings hold no NUL and no surrogates (MQTT 5 §1.5.4).
TEXTS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=60)


def body_of(packet: bytes) -> bytes:
    ((_, body),) = PacketReader().feed(packet)
    return body


@given(
    topic=TEXTS,
    payload=st.binary(max_size=300),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    packet_id=st.integers(1, 65_535),
    version=st.sampled_from(["5", "3.1.1"]),
)
def test_paho_reads_the_publication(  # noqa: PLR0913 - the fields of a PUBLISH
    *, topic: str, payload: bytes, qos: int, retain: bool, packet_id: int, version: Version
) -> None:
    user = (("eventId", topic[:10]),)
    content = publish_properties(user, 60) + payload if version == "5" else payload
    packet = publish_packet(topic, content, qos=qos, retain=retain, packet_id=packet_id)
    read = paho.decode_publish(
        packet[0],
        body_of(packet),
        MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311,
    )
    assert (read.topic.decode(), bytes(read.payload), read.qos, read.retain, read.dup) == (
        topic, payload, qos, retain, False,
    )  # fmt: skip
    assert read.mid == (packet_id if qos else 0)
    if version == "5":
        assert read.properties is not None
        found = read.properties.json()  # type: ignore[no-untyped-call] # paho's
        assert found == {
            "PayloadFormatIndicator": 1,
            "ContentType": "application/json",
            "MessageExpiryInterval": 60,
            "UserProperty": [("eventId", topic[:10])],
        }


@given(st.lists(st.binary(max_size=400), max_size=8), st.data())
def test_packets_are_found_however_the_bytes_are_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(b"\x40" + variable_length(len(body)) + body for body in bodies)
    reader, found = PacketReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [(PUBACK, body) for body in bodies]


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_lengths_of_the_standard(number: int, encoded: str) -> None:
    # The table of MQTT 5 §1.5.5.
    assert variable_length(number).hex() == encoded


def test_what_no_broker_sends_is_refused() -> None:
    with pytest.raises(MqttProtocolError, match="four bytes"):
        PacketReader().feed(b"\x40\xff\xff\xff\xff\x01")
    with pytest.raises(MqttProtocolError, match="2097152 bytes"):
        PacketReader().feed(b"\x30\x80\x80\x80\x01")
    with pytest.raises(MqttProtocolError, match="cut off"):
        read_acknowledgement(b"\x00")
    with pytest.raises(MqttProtocolError, match="cut off"):
        read_connack(b"\x00", "5")
    with pytest.raises(MqttProtocolError, match="properties"):
        read_connack(b"\x00\x00\x03\x21\x00", "5")


@given(st.binary(max_size=40))
def test_hostile_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        for _, body in PacketReader().feed(data):
            read_connack(body, "5")
            read_acknowledgement(body)
    except MqttProtocolError:
        return


@pytest.mark.parametrize("size", [268_435_456, 300_000_000])
def test_what_is_too_long_for_mqtt_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="more than an MQTT packet can have"):
        variable_length(size)


def test_topic_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        publish_packet("x" * 65_536, b"", qos=0, retain=False, packet_id=1)


def test_connect_with_everything() -> None:
    # MQTT 5 §3.1, written out.
    packet = connect_packet(
        "me",
        version="5",
        keepalive_s=30,
        credentials=Credentials("user", "secret"),
        will=Will("status", b"gone"),
    )
    assert packet == (
        b"\x10\x2c\x00\x04MQTT\x05\xee\x00\x1e\x00"
        b"\x00\x02me\x00\x00\x06status\x00\x04gone\x00\x04user\x00\x06secret"
    )


def test_connect_of_311_with_nothing() -> None:
    packet = connect_packet("me", version="3.1.1", keepalive_s=30)
    assert packet == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02me"


def test_connack_limits() -> None:
    # Receive Maximum 20, Maximum Packet Size 100, Maximum QoS 1, no retain, Server Keep Alive 5.
    body = bytes.fromhex("0000 0f 210014 2700000064 2401 2500 130005")
    assert read_connack(body, "5") == Connack(
        None, 20, 100, 1, retain_available=False, keepalive_s=5
    )
    assert read_connack(bytes.fromhex("000000"), "5") == Connack()


@pytest.mark.parametrize(
    ("body", "version", "refusal"),
    [
        (b"\x00\x87\x00", "5", "0x87 Not authorized"),
        (b"\x00\xee\x00", "5", "0xEE"),
        (b"\x00\x05", "3.1.1", "Not authorized"),
        (b"\x00\x09", "3.1.1", "code 9"),
    ],
)
def test_refused_connection_has_its_reason(body: bytes, version: Version, refusal: str) -> None:
    assert read_connack(body, version).refusal == refusal


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"\x01\x02", (0x0102, 0)),
        (b"\x01\x02\x10", (0x0102, 0x10)),
        (b"\x00\x07\x87\x00", (7, 0x87)),
    ],
)
def test_acknowledgements(body: bytes, read: tuple[int, int]) -> None:
    assert read_acknowledgement(body) == read


def test_pubrel() -> None:
    assert pubrel_packet(0x0102) == b"\x62\x02\x01\x02"


def test_reasons_have_names() -> None:
    assert reason_text(PacketTypes.PUBACK, 0x97) == "0x97 Quota exceeded"
    assert reason_text(PacketTypes.PUBACK, 0x42) == "0x42"


@pytest.mark.parametrize("packet_type", [PacketTypes.CONNACK, PacketTypes.PUBACK])
def test_every_number_that_a_broker_may_send_as_a_reason_has_a_text(packet_type: int) -> None:
    # mosquitto's PUBACK has 0x95, which MQTT 5 §3.4.2.1 does not list there.
    assert reason_text(packet_type, 0x95) == "0x95 Packet too large"
    assert all(
        reason_text(packet_type, code).startswith(f"0x{code:02X}") for code in range(0x80, 0x100)
    )
    assert CONNACK == 0x20


def test_password_is_never_shown() -> None:
    assert "hunter2" not in repr(Credentials("egress", "hunter2"))
