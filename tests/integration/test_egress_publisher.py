"""egress.publisher on real brokers: order, acknowledgements, outages, messages that break it."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from egress_kit import GuardedMosquitto, Note, Wire
from mqtt_subscriber import subscriber, until

from devstack.existing import ExistingMqtt
from devstack.mqtt import Mosquitto, MqttBroker
from egress.connection import MqttOptions
from egress.publisher import CAPACITY, MAX_IN_FLIGHT, Publisher

pytestmark = pytest.mark.integration


def options(port: int, host: str = "127.0.0.1", **changes: object) -> MqttOptions:
    fields: dict[str, object] = {"host": host, "port": port, "client_id": f"t-{uuid.uuid4().hex}"}
    return MqttOptions(**(fields | changes))  # type: ignore[arg-type] # fields vary by test


@asynccontextmanager
async def running(chosen: MqttOptions) -> AsyncIterator[Publisher]:
    publisher = Publisher(chosen, min_backoff_s=0.02, max_backoff_s=0.2)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), "the publisher must never end by itself"
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[MqttBroker]:
    """A broker of the test's own, to be stopped and started."""
    with MqttBroker(tmp_path) as broker:
        yield broker


@pytest.fixture
def topic() -> str:
    return f"t/{uuid.uuid4().hex}"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [1, 0])
async def test_everything_arrives_in_order_and_is_acknowledged_once(
    mqtt: MqttBroker | ExistingMqtt, topic: str, version: Literal["5", "3.1.1"], qos: int
) -> None:
    port = mqtt.port if version == "5" else mqtt.v311_port
    notes = [Note(topic, b"%d" % number) for number in range(CAPACITY - 1)]
    with subscriber(mqtt.host, port, topic, version=version) as received:
        async with running(options(port, mqtt.host, version=version, qos=qos)) as publisher:
            for note in notes:
                publisher.submit(note)
            await received.wait(len(notes))
            await until(lambda: all(note.settled for note in notes))
            assert publisher.room == CAPACITY
    assert received.payloads == [note.publication.payload for note in notes]
    assert {note.acknowledgements for note in notes} == {1}


async def test_mqtt5_properties(mqtt: MqttBroker | ExistingMqtt, topic: str) -> None:
    with subscriber(mqtt.host, mqtt.port, topic) as received:
        async with running(options(mqtt.port, mqtt.host)) as publisher:
            publisher.submit(Note(topic, b"{}"))
            await received.wait(1)
    properties = received.messages[0].properties
    assert properties is not None
    assert properties.json() == {  # type: ignore[no-untyped-call] # paho's
        "PayloadFormatIndicator": 1,
        "ContentType": "application/json",
        "UserProperty": [("eventId", "e1"), ("traceparent", "t1")],
    }


async def test_retained_for_who_subscribes_later(
    mqtt: MqttBroker | ExistingMqtt, topic: str
) -> None:
    async with running(options(mqtt.port, mqtt.host, retain=True)) as publisher:
        note = Note(topic, b"last")
        publisher.submit(note)
        await until(lambda: note.settled)
    with subscriber(mqtt.host, mqtt.port, topic) as received:
        await received.wait(1)
    assert received.payloads == [b"last"]


async def test_cut_connections_lose_nothing_and_keep_the_order(
    mqtt: MqttBroker | ExistingMqtt, topic: str
) -> None:
    notes = [Note(topic, b"%d" % number) for number in range(3000)]
    wire = Wire(mqtt.host, mqtt.port)
    with subscriber(mqtt.host, mqtt.port, topic) as received:
        async with wire.listening() as port, running(options(port)) as publisher:
            await publisher.wait_connected()
            wire.deaf = True
            for note in notes:
                publisher.submit(note)
            # The window is full and arrived, and no PUBACK came back: all of it is sent again.
            await received.wait(MAX_IN_FLIGHT)
            wire.cut()
            wire.deaf = False
            for arrived in (MAX_IN_FLIGHT + 10, 2 * MAX_IN_FLIGHT, 3 * MAX_IN_FLIGHT):
                await received.wait(arrived)
                wire.cut()
            await until(lambda: all(note.settled for note in notes))
            await until(lambda: received.payloads[-1] == b"2999")
    assert {note.acknowledgements for note in notes} == {1}
    numbers = [int(payload) for payload in received.payloads]
    assert len(numbers) >= len(notes) + MAX_IN_FLIGHT
    # After a cut the stream steps back and goes on from there: no gap is ever jumped.
    assert numbers[0] == 0
    assert all(after <= before + 1 for before, after in itertools.pairwise(numbers))


async def test_outage_sends_what_is_still_wanted_afterwards(
    mqtt: MqttBroker | ExistingMqtt, topic: str
) -> None:
    notes = [Note(topic, b"%d" % number) for number in range(CAPACITY)]
    wire = Wire(mqtt.host, mqtt.port)
    with subscriber(mqtt.host, mqtt.port, topic) as received:
        async with wire.listening() as port, running(options(port)) as publisher:
            await publisher.wait_connected()
            wire.up = False
            wire.cut()
            await until(lambda: not publisher.is_connected)
            for note in notes:
                publisher.submit(note)
            assert publisher.room == 0
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(publisher.wait_for_room(), 0.1)
            for note in notes[100:]:
                note.wanted = False
            publisher.discard_unwanted()
            assert publisher.room == CAPACITY - 100
            await asyncio.wait_for(publisher.wait_for_room(), 0.1)
            assert not any(note.settled for note in notes)
            wire.up = True
            await until(lambda: all(note.settled for note in notes[:100]))
            await received.wait(100)
    assert received.payloads == [note.publication.payload for note in notes[:100]]


async def test_message_that_breaks_every_connection_is_found_out(
    own_broker: MqttBroker, topic: str
) -> None:
    # rumqttd closes the connection at a payload above its limit of 1 MiB, without a reason.
    notes = [Note(topic, b"%d" % number) for number in range(20)]
    notes.insert(10, Note(topic, b"x" * 2_000_000))
    with subscriber(own_broker.host, own_broker.port, topic) as received:
        async with running(options(own_broker.port)) as publisher:
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(20)
    assert notes.pop(10).reason is not None
    assert all(note.reason is None for note in notes)
    # Repeats are allowed after a lost connection, a step back or a gap is not.
    first_seen = list(dict.fromkeys(received.payloads))
    assert first_seen == [note.publication.payload for note in notes]


async def test_refused_connection_is_tried_again(topic: str) -> None:
    answers = [b"\x20\x03\x00\x87\x00", b""]
    asked = 0

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.read(1000)
        writer.write(answers[asked % 2])
        asked += 1
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    async with server, running(options(server.sockets[0].getsockname()[1])) as publisher:
        publisher.submit(Note(topic, b"x"))
        await until(lambda: asked >= 3)
        assert not publisher.is_connected


@pytest.mark.mosquitto
@pytest.mark.parametrize("qos", [0, 1])
async def test_qos_is_the_one_asked_for(mosquitto: Mosquitto, topic: str, qos: int) -> None:
    # rumqttd delivers with the subscription's QoS, whatever the publication had.
    with subscriber(mosquitto.host, mosquitto.port, topic) as received:
        async with running(options(mosquitto.port, qos=qos)) as publisher:
            publisher.submit(Note(topic, b"x"))
            await received.wait(1)
    assert received.messages[0].qos == qos


@pytest.mark.mosquitto
async def test_unauthorized_topic_is_refused_and_the_rest_arrives(
    tmp_path: Path, topic: str
) -> None:
    with (
        GuardedMosquitto("t/#", tmp_path) as broker,
        subscriber(broker.host, broker.port, "t/#") as received,
    ):
        async with running(options(broker.port)) as publisher:
            notes = [Note("forbidden", b"0"), *(Note(topic, b"%d" % n) for n in range(200))]
            for note in notes:
                publisher.submit(note)
            await until(lambda: all(note.settled for note in notes))
            await received.wait(200)
    assert notes[0].reason == "PUBACK 0x87 Not authorized"
    assert received.payloads == [note.publication.payload for note in notes[1:]]
