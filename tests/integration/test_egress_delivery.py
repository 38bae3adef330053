"""Delivery settings of the egress on real brokers: TLS, QoS 2, status, limits, refusals."""

import asyncio
import base64
import hashlib
import shutil
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
import orjson
import pytest
import trustme
from egress_hop import Hop
from egress_installation import Installation, event, frame
from egress_kit import GuardedMosquitto, MosquittoWith, Note, Wire
from mqtt_subscriber import subscriber, until

from devstack.existing import ExistingKafka, ExistingMqtt
from devstack.kafka import KafkaBroker
from devstack.mqtt import Mosquitto, MqttBroker
from egress.announcement import Announcement
from egress.connection import MqttConnection, MqttOptions, Tls
from egress.errors import MqttConnectionError
from egress.packets import Credentials, Will
from egress.publisher import CAPACITY_BYTES, Publisher
from egress.routing import route_frame
from schemas.frames import OcppFrame

pytestmark = pytest.mark.integration

AT_US = 1_701_944_125_000_000


@pytest.fixture
def topic() -> str:
    return f"t/{uuid.uuid4().hex}"


def options(port: int, host: str = "127.0.0.1", **changes: object) -> MqttOptions:
    fields: dict[str, object] = {"host": host, "port": port, "client_id": f"t-{uuid.uuid4().hex}"}
    return MqttOptions(**(fields | changes))  # type: ignore[arg-type] # fields vary by test


@asynccontextmanager
async def running(
    chosen: MqttOptions, *, tries: int = 3, announcement: Announcement | None = None
) -> AsyncIterator[Publisher]:
    publisher = Publisher(
        chosen, tries=tries, announcement=announcement, min_backoff_s=0.02, max_backoff_s=0.2
    )
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), "the publisher must never end by itself"
    finally:
        task.cancel()
        await asyncio.wait({task})


class Certificates:
    """An authority, a broker and a client it knows, and a stranger."""

    def __init__(self, directory: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.broker = self._pair(authority, "127.0.0.1", directory / "broker")
        self.client = self._pair(authority, "egress@example.com", directory / "client")
        self.stranger = self._pair(stranger, "egress@example.com", directory / "stranger")
        self.other_ca_file = directory / "other-ca.pem"
        stranger.cert_pem.write_to_path(self.other_ca_file)

    def broker_lines(self) -> tuple[str, ...]:
        """What mosquitto needs to ask for client certificates."""
        return (
            f"cafile {self.ca_file}",
            f"certfile {self.broker[0]}",
            f"keyfile {self.broker[1]}",
            "require_certificate true",
        )

    @staticmethod
    def _pair(authority: trustme.CA, identity: str, stem: Path) -> tuple[Path, Path]:
        issued = authority.issue_cert(identity)
        chain, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return chain, key


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def tls_broker(certificates: Certificates, tmp_path: Path) -> Iterator[MosquittoWith]:
    """Open to who has a certificate, and on `plain_port` to the test's subscriber."""
    with MosquittoWith(tmp_path, certificates.broker_lines(), plain=True) as broker:
        yield broker


@pytest.mark.mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_tls_with_a_client_certificate(
    tls_broker: MosquittoWith,
    certificates: Certificates,
    topic: str,
    version: Literal["5", "3.1.1"],
) -> None:
    cert_file, key_file = certificates.client
    tls = Tls(ca_file=certificates.ca_file, cert_file=cert_file, key_file=key_file)
    notes = [Note(topic, b"%d" % n + b"x" * 1000) for n in range(1000)]
    with subscriber(tls_broker.host, tls_broker.plain_port, topic) as received:
        async with running(options(tls_broker.port, tls=tls, version=version)) as publisher:
            for note in notes:
                publisher.submit(note)
            await received.wait(len(notes))
            await until(lambda: all(note.settled for note in notes))
    assert received.payloads == [note.publication.payload for note in notes]


@pytest.mark.mosquitto
async def test_replaced_certificate_is_used_by_the_next_connection(
    tls_broker: MosquittoWith, certificates: Certificates, topic: str, tmp_path: Path
) -> None:
    cert_file, key_file = tmp_path / "c.pem", tmp_path / "c.key"

    def install(pair: tuple[Path, Path]) -> None:
        shutil.copy(pair[0], cert_file)
        shutil.copy(pair[1], key_file)

    install(certificates.stranger)
    tls = Tls(ca_file=certificates.ca_file, cert_file=cert_file, key_file=key_file)
    async with running(options(tls_broker.port, tls=tls)) as publisher:
        publisher.submit(note := Note(topic, b"x"))
        await asyncio.sleep(0.5)
        assert not publisher.is_connected
        install(certificates.client)
        await until(lambda: note.settled)
        assert note.reason is None


@pytest.mark.mosquitto
async def test_broker_of_another_authority_is_not_trusted(
    tls_broker: MosquittoWith,
    certificates: Certificates,
    topic: str,
) -> None:
    cert_file, key_file = certificates.client
    tls = Tls(ca_file=certificates.other_ca_file, cert_file=cert_file, key_file=key_file)
    async with running(options(tls_broker.port, tls=tls)) as publisher:
        publisher.submit(note := Note(topic, b"x"))
        await asyncio.sleep(0.5)
        assert not publisher.is_connected
        assert not note.settled


@pytest.mark.mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_user_name_and_password(
    tmp_path: Path, topic: str, version: Literal["5", "3.1.1"]
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(mosquitto_password("egress", "secret"))
    with MosquittoWith(
        tmp_path, (f"password_file {passwords}", "allow_anonymous false"), plain=False
    ) as broker:
        right = options(broker.port, version=version, credentials=Credentials("egress", "secret"))
        async with running(right) as publisher:
            publisher.submit(note := Note(topic, b"x"))
            await until(lambda: note.settled)
        wrong = options(broker.port, version=version, credentials=Credentials("egress", "wrong"))
        async with running(wrong) as publisher:
            publisher.submit(note := Note(topic, b"x"))
            await asyncio.sleep(0.3)
            assert not publisher.is_connected
            assert not note.settled


@pytest.mark.mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_qos_2_arrives_in_order_once(
    mosquitto: Mosquitto, topic: str, version: Literal["5", "3.1.1"]
) -> None:
    notes = [Note(topic, b"%d" % n) for n in range(300)]
    with subscriber(mosquitto.host, mosquitto.port, topic, qos=2) as received:
        async with running(options(mosquitto.port, version=version, qos=2)) as publisher:
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(len(notes))
    assert received.payloads == [note.publication.payload for note in notes]
    assert {message.qos for message in received.messages} == {2}


@pytest.mark.mosquitto
async def test_qos_2_refusal_is_heard(tmp_path: Path, topic: str) -> None:
    with GuardedMosquitto("t/#", tmp_path) as broker:
        async with running(options(broker.port, qos=2), tries=1) as publisher:
            notes = [Note("forbidden", b"0"), Note(topic, b"1")]
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
    assert [note.reason for note in notes] == ["PUBACK 0x87 Not authorized", None]


@pytest.mark.mosquitto
async def test_refused_message_is_tried_again_before_it_is_given_up(
    tmp_path: Path, topic: str
) -> None:
    with (
        GuardedMosquitto("t/#", tmp_path) as broker,
        subscriber(broker.host, broker.port, "#") as received,
    ):
        async with running(options(broker.port), tries=1000) as publisher:
            notes = [Note(topic, b"0"), Note("u/1", b"1"), Note(topic, b"2")]
            for note in notes:
                publisher.submit(note)
            await until(lambda: notes[0].settled)
            await asyncio.sleep(0.3)
            assert notes[1].reason is None
            broker.allow("#")
            await until(lambda: all(note.settled for note in notes))
            # The subscriber's own right to read it came late; what is sent from now on arrives.
            publisher.submit(Note(topic, b"3"))
            await until(lambda: received.payloads[-1:] == [b"3"])
    assert [note.reason for note in notes] == [None, None, None]


async def test_refused_for_now_holds_back_its_strand_and_no_other(
    mqtt: MqttBroker | ExistingMqtt, topic: str
) -> None:
    hop = Hop((mqtt.host, mqtt.port))
    await hop.start()
    notes = [
        Note(f"{topic}/{number % 10}", b"%d" % number, strand=str(number % 10))
        for number in range(1000)
    ]
    with subscriber(mqtt.host, mqtt.port, f"{topic}/#") as received:
        async with running(options(hop.port)) as publisher:
            await publisher.wait_connected()
            hop.refuse = 5
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(1000)
    await hop.stop()
    assert {note.reason for note in notes} == {None}
    arrived = [int(payload) for payload in received.payloads]
    # No connection was given up, so nothing came twice.
    assert sorted(arrived) == list(range(1000))
    assert arrived != sorted(arrived), "nothing was refused"
    for strand in range(10):
        assert [n for n in arrived if n % 10 == strand] == list(range(strand, 1000, 10))


@pytest.mark.mosquitto
async def test_missing_permission_is_believed_after_the_tries(tmp_path: Path, topic: str) -> None:
    with GuardedMosquitto("t/#", tmp_path) as broker:
        async with running(options(broker.port), tries=3) as publisher:
            notes = [Note(topic, b"x") if n % 2 else Note(f"no/{n}", b"x") for n in range(200)]
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
    assert {note.reason for note in notes[0::2]} == {"PUBACK 0x87 Not authorized"}
    assert {note.reason for note in notes[1::2]} == {None}


@pytest.mark.mosquitto
async def test_packet_above_the_brokers_maximum_is_not_even_sent(
    tmp_path: Path, topic: str
) -> None:
    with (
        MosquittoWith(tmp_path, ("max_packet_size 1000",)) as broker,
        subscriber(broker.host, broker.port, topic) as received,
    ):
        async with running(options(broker.port)) as publisher:
            # The first publication and its properties fit to the byte.
            probe = Note(topic, b"")
            overhead = 2 + 2 + len(topic) + 2 + 1 + len(b"\x01\x01\x03\x00\x10application/json")
            overhead += sum(5 + len(n) + len(v) for n, v in probe.publication.properties) + 1
            fits = 1000 - overhead
            notes = [Note(topic, b"x" * fits), Note(topic, b"x" * (fits + 1)), Note(topic, b"end")]
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(2)
    assert [note.reason for note in notes] == [None, "larger than the broker takes (1000 B)", None]


@pytest.mark.mosquitto
@pytest.mark.parametrize("qos", [1, 2])
async def test_payload_above_a_limit_that_the_broker_keeps_to_itself(
    tmp_path: Path, topic: str, qos: int
) -> None:
    # mosquitto names `max_packet_size` in its CONNACK, `message_size_limit` only in its refusal.
    with (
        MosquittoWith(tmp_path, ("message_size_limit 1000",)) as broker,
        subscriber(broker.host, broker.port, topic) as received,
    ):
        async with running(options(broker.port, qos=qos), tries=1000) as publisher:
            sizes = (1000, 1001, 10)
            notes = [Note(topic, b"x" * size, strand="one") for size in sizes]
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(2)
    assert [note.reason for note in notes] == [None, "PUBACK 0x95 Packet too large", None]
    assert [len(payload) for payload in received.payloads] == [1000, 10]


@pytest.mark.mosquitto
async def test_hostile_text_in_a_frame_ends_no_connection(mosquitto: Mosquitto, topic: str) -> None:
    hostile = "\0\x1b\x9f\ufdd0\ufffe\U0010ffff/+#$"
    raw = orjson.dumps([2, hostile, hostile, {"x": hostile}])
    hostile_frame = OcppFrame(
        client_id=topic.replace("/", "-") + hostile,
        received_at_ns=1,
        direction="inbound",
        protocol="ocpp1.6",
        kind="CALL",
        message_id=hostile,
        action=hostile,
        raw=raw,
        violation=f"NotImplemented: ocpp1.6 has no action {hostile}",
        connection_id="c",
    )
    note = Note(topic, b"")
    note.publication = route_frame(hostile_frame)
    with subscriber(mosquitto.host, mosquitto.port, "ocpp/messages/+/+") as received:
        async with running(options(mosquitto.port), tries=1) as publisher:
            publisher.submit(note)
            await until(lambda: note.settled)
            await received.wait(1)
    assert note.reason is None
    assert orjson.loads(received.payloads[0])["payload"] == {"x": hostile}


@pytest.mark.mosquitto
async def test_expired_messages_are_not_delivered(mosquitto: Mosquitto, topic: str) -> None:
    with subscriber(mosquitto.host, mosquitto.port, topic) as received:
        chosen = options(mosquitto.port, expiry_s=60, retain=True)
        async with running(chosen) as publisher:
            publisher.submit(Note(topic, b"x"))
            await received.wait(1)
    properties = received.messages[0].properties
    assert properties is not None
    assert 0 < properties.MessageExpiryInterval <= 60  # type: ignore[attr-defined] # paho sets it


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_status_topic_says_whether_the_instance_is_there(
    mqtt: MqttBroker | ExistingMqtt, version: Literal["5", "3.1.1"]
) -> None:
    status = f"s/{uuid.uuid4().hex}"
    announcement = Announcement(status + "/{clientID}", "e1", lambda: AT_US)
    port = mqtt.port if version == "5" else mqtt.v311_port
    wire = Wire(mqtt.host, port)
    with subscriber(mqtt.host, mqtt.port, status + "/+") as received:

        def said() -> list[tuple[str, str | None]]:
            found = [orjson.loads(payload) for payload in received.payloads]
            return [(each["status"], each["reason"]) for each in found]

        async with wire.listening() as through:
            chosen = options(through, version=version, will=announcement.will)
            async with running(chosen, announcement=announcement):
                await until(lambda: said() == [("online", None)])
                wire.cut()
                await until(
                    lambda: said()[1:] == [("offline", "connection lost"), ("online", None)], 60
                )
            await until(lambda: said()[3:] == [("offline", "stopped")])
    with subscriber(mqtt.host, mqtt.port, status + "/+") as late:
        await late.wait(1)
    assert late.messages[0].retain
    assert late.messages[0].topic == status + "/e1"


async def test_broker_that_falls_silent_is_given_up(
    mqtt: MqttBroker | ExistingMqtt, topic: str
) -> None:
    wire = Wire(mqtt.host, mqtt.port)
    async with wire.listening() as port, running(options(port, keepalive_s=1)) as publisher:
        await publisher.wait_connected()
        wire.deaf = True
        publisher.submit(note := Note(topic, b"x"))
        await until(lambda: not publisher.is_connected)
        wire.deaf = False
        await until(lambda: note.settled)


@pytest.mark.parametrize(
    ("servers", "own"),
    [
        # Server Keep Alive 1 s, which holds in place of the client's 30 s.
        (1, 30),
        # Server Keep Alive 0: the server does not look; a silent one must be noticed all the same.
        (0, 1),
    ],
)
async def test_idle_connection_is_kept_with_pings(servers: int, own: int) -> None:
    pings = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pings
        await reader.read(1000)
        writer.write(b"\x20\x06\x00\x00\x03\x13\x00" + bytes((servers,)))
        while await reader.read(2) == b"\xc0\x00":
            pings += 1
            writer.write(b"\xd0\x00")
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server, running(options(server.sockets[0].getsockname()[1], keepalive_s=own)):
        await until(lambda: pings >= 3)


class Deaf:
    """A listener that nobody speaks to."""

    def on_acknowledged(self, packet_id: int, code: int) -> None:
        raise AssertionError(packet_id, code)

    def on_room(self) -> None:
        pass


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("line", "changes", "words"),
    [
        ("max_qos 1", {"qos": 2}, "QoS 1 at most: set MQTT_QOS"),
        ("retain_available false", {"retain": True}, "unset MQTT_RETAIN"),
        ("retain_available false", {"retain_some": True}, "MQTT_RETAIN_STATUS"),
        ("retain_available false", {"will": Will("s", b"x")}, "MQTT_STATUS_TOPIC"),
    ],
)
async def test_what_the_broker_does_not_offer_is_said_with_the_setting(
    tmp_path: Path, line: str, changes: dict[str, object], words: str
) -> None:
    with MosquittoWith(tmp_path, (line,)) as broker:
        chosen = msgspec.structs.replace(options(broker.port), **changes)
        connection = MqttConnection(chosen, Deaf())
        with pytest.raises(MqttConnectionError, match=words):
            await connection.open()


async def test_what_is_held_is_bounded_in_bytes(topic: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        publisher = Publisher(options(nobody.getsockname()[1]))
        submitted = 0
        while publisher.room:
            publisher.submit(Note(topic, bytes(1024 * 1024)))
            submitted += 1
    assert submitted == CAPACITY_BYTES // (1024 * 1024)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x00\x00\x30\x05"]
)
async def test_peer_that_speaks_no_mqtt_is_left(answer: bytes, topic: str) -> None:
    asked = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read(1000)
        writer.write(answer + b"x" * 100)
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server, running(options(server.sockets[0].getsockname()[1])) as publisher:
        publisher.submit(note := Note(topic, b"x"))
        await until(lambda: asked >= 3)
        assert not note.settled


async def test_filters_prefix_and_kept_status_through_the_whole_egress(
    kafka: KafkaBroker | ExistingKafka, mqtt: MqttBroker | ExistingMqtt, topic_prefix: str
) -> None:
    installation = Installation(
        kafka.bootstrap_servers,
        topic_prefix,
        mqtt_topic_prefix=f"p/{topic_prefix}",
        mqtt_topic_filter="csms/#,ocpp/messages/#",
        mqtt_topic_exclude="ocpp/messages/+/DataTransfer",
        mqtt_retain_status=True,
    )
    names, identity = installation.names, installation.client_id
    installation.write(names.frames, [frame(identity, n) for n in range(100)])
    installation.write(names.events, [event(identity)])
    with subscriber(mqtt.host, mqtt.port, f"p/{topic_prefix}/#") as received:
        async with installation.egress(mqtt.port):
            await installation.until_committed(names.events, 1)
            # What is left out counts as delivered.
            await installation.until_committed(names.frames, 100)
            await received.wait(2)
    assert [message.topic for message in received.messages] == [
        f"p/{topic_prefix}/csms/connectors/{identity}/status_changed",
        f"p/{topic_prefix}/csms/connectors/{identity}/1/status",
    ]
    with subscriber(mqtt.host, mqtt.port, f"p/{topic_prefix}/#") as late:
        await late.wait(1)
    assert late.messages[0].topic.endswith("/1/status")


def mosquitto_password(user: str, password: str) -> str:
    """A line as mosquitto_passwd writes it."""
    salt = b"0123456789ab"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
