"""egress.worker on a real Kafka and MQTT broker: nothing lost, order kept, offsets honest."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer
from egress_installation import FRAMES, Installation, event, frame, numbers
from egress_kit import GuardedMosquitto, Wire
from kafka_log import committed_records, key_and_value
from mqtt_subscriber import Received, subscriber, until

from devstack.existing import ExistingKafka, ExistingMqtt
from devstack.kafka import KafkaBroker
from devstack.mqtt import Mosquitto, MqttBroker
from egress.connection import MqttOptions
from egress.publisher import CAPACITY, Publisher
from egress.worker import MAX_UNRECORDED, EgressWorker
from schemas.codec import dead_letter_codec
from schemas.frames import OcppFrame

pytestmark = pytest.mark.integration


@pytest.fixture
def installation(kafka: KafkaBroker | ExistingKafka, topic_prefix: str) -> Installation:
    return Installation(kafka.bootstrap_servers, topic_prefix)


@pytest.fixture
def protocol(mqtt: MqttBroker | ExistingMqtt, installation: Installation) -> Iterator[Received]:
    """Subscribed to the installation's frames."""
    topic = f"ocpp/messages/{installation.client_id}/#"
    with subscriber(mqtt.host, mqtt.port, topic) as received:
        yield received


async def test_both_streams_arrive_in_order_and_are_committed(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    installation.write(names.frames, [frame(identity, n) for n in range(1000)])
    installation.write(names.events, [event(identity)], partition=1)
    with subscriber(mqtt.host, mqtt.port, f"csms/+/{identity}/#") as business:
        async with installation.egress(mqtt.port):
            await protocol.wait(1000)
            await business.wait(1)
            await installation.until_committed(names.frames, 1000)
            await installation.until_committed(names.events, 1, partition=1)
    assert numbers(protocol) == list(range(1000))
    assert protocol.messages[0].topic == f"ocpp/messages/{identity}/DataTransfer"
    assert business.messages[0].topic == f"csms/connectors/{identity}/status_changed"
    assert orjson.loads(business.payloads[0])["eventId"] == "status_changed_1"


async def test_nothing_is_committed_while_mqtt_is_down_and_all_arrives_afterwards(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    total = CAPACITY + 3000
    wire = Wire(mqtt.host, mqtt.port)
    async with wire.listening() as port, installation.egress(port) as worker:
        installation.write(names.frames, [frame(identity, n) for n in range(10)])
        await installation.until_committed(names.frames, 10)
        wire.up = False
        wire.cut()
        # More than the publisher holds: reading has to pause.
        installation.write(names.frames, [frame(identity, n) for n in range(10, total)])
        await until(lambda: worker.unrecorded > MAX_UNRECORDED // 2)
        await asyncio.sleep(2.5)
        assert worker.unrecorded <= MAX_UNRECORDED
        assert await asyncio.to_thread(installation.committed, names.frames) == 10
        wire.up = True
        await installation.until_committed(names.frames, total)
        await protocol.wait(total)
    assert numbers(protocol) == list(range(total))


@pytest.mark.mosquitto
async def test_restarted_broker_gets_all_of_it_in_order(
    mosquitto: Mosquitto, installation: Installation
) -> None:
    names, identity = installation.names, installation.client_id
    topic = f"ocpp/messages/{identity}/#"
    with subscriber(mosquitto.host, mosquitto.port, topic, version="3.1.1", keep=True) as received:
        async with installation.egress(mosquitto.port):
            installation.write(names.frames, [frame(identity, n) for n in range(100)])
            await installation.until_committed(names.frames, 100)
            await received.wait(100)
            mosquitto.stop()
            installation.write(names.frames, [frame(identity, n) for n in range(100, 300)])
            await asyncio.sleep(1.2)
            assert await asyncio.to_thread(installation.committed, names.frames) == 100
            mosquitto.start()
            await installation.until_committed(names.frames, 300)
            await received.wait(300)
    assert list(dict.fromkeys(numbers(received))) == list(range(300))


async def test_poison_goes_to_the_dead_letter_and_the_stream_goes_on(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    belied = FRAMES.encode(
        OcppFrame(
            client_id=identity,
            received_at_ns=1,
            direction="inbound",
            protocol="ocpp1.6",
            kind="CALL",
            action="A",
            raw=b"no json",
            connection_id="c",
        )
    )
    values = [frame(identity, 0), b"rubbish", None, belied, frame(identity, 1)]
    installation.write(names.frames, values)
    async with installation.egress(mqtt.port):
        await protocol.wait(2)
        await installation.until_committed(names.frames, 5)
    assert numbers(protocol) == [0, 1]
    letters = committed_records(installation.servers, names.dead_letter)
    codec = dead_letter_codec()
    keys, letters_of = zip(*map(key_and_value, letters), strict=True)
    found = sorted(map(codec.decode, letters_of), key=lambda letter: letter.offset)
    assert keys == (identity.encode(),) * 3
    assert [(x.stage, x.topic, x.partition, x.offset, x.client_id) for x in found] == [
        ("egress", names.frames, 0, offset, identity) for offset in (1, 2, 3)
    ]
    assert found[0].reason.startswith("CodecError: OcppFrame: starts with '7275'")
    assert found[1].reason == "RoutingError: the record has no value"
    assert found[2].reason.startswith("RoutingError: a CALL whose text is no JSON array")
    assert all(letter.traceback_hash for letter in found)


@pytest.mark.mosquitto
async def test_event_refused_by_the_broker_goes_to_the_dead_letter(
    tmp_path: Path, installation: Installation
) -> None:
    names, identity = installation.names, installation.client_id
    installation.write(names.frames, [frame(identity, n) for n in range(10)])
    installation.write(names.events, [event(identity)])
    with (
        GuardedMosquitto("ocpp/#", tmp_path) as broker,
        subscriber(broker.host, broker.port, "ocpp/#") as received,
    ):
        async with installation.egress(broker.port):
            await received.wait(10)
            await installation.until_committed(names.frames, 10)
            await installation.until_committed(names.events, 1)
    assert numbers(received) == list(range(10))
    ((_, value),) = map(key_and_value, committed_records(installation.servers, names.dead_letter))
    letter = dead_letter_codec().decode(value)
    assert (letter.topic, letter.offset) == (names.events, 0)
    assert letter.reason == (
        f"refused by the MQTT broker, topic csms/connectors/{identity}/status_changed: "
        "PUBACK 0x87 Not authorized"
    )


async def test_aborted_transactions_are_not_published(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    producer = Producer({"bootstrap.servers": installation.servers, "transactional.id": identity})
    await asyncio.to_thread(producer.init_transactions, 10)
    for number, end in enumerate(
        (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction)
    ):
        producer.begin_transaction()
        producer.produce(names.frames, frame(identity, number), key=identity, partition=0)
        producer.flush(10)
        await asyncio.to_thread(end, 10)
    async with installation.egress(mqtt.port):
        await protocol.wait(2)
        # Records at offsets 0, 2 (aborted) and 4; commit and abort markers between them.
        await installation.until_committed(names.frames, 5)
    assert numbers(protocol) == [0, 2]


async def test_second_instance_takes_over_partitions_without_a_gap(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    installation.write(names.frames, [frame(identity, n) for n in range(500)], partition=0)
    installation.write(names.frames, [frame(identity, n) for n in range(1000, 1500)], partition=1)
    async with installation.egress(mqtt.port, "a"):
        await protocol.wait(200)
        async with installation.egress(mqtt.port, "b"):
            installation.write(names.frames, [frame(identity, n) for n in range(500, 900)], 0)
            installation.write(names.frames, [frame(identity, n) for n in range(1500, 1900)], 1)
            await installation.until_committed(names.frames, 900, 0)
            await installation.until_committed(names.frames, 900, 1)
        # The one that stays takes all of it back.
        installation.write(names.frames, [frame(identity, n) for n in range(900, 950)], 0)
        installation.write(names.frames, [frame(identity, n) for n in range(1900, 1950)], 1)
        await installation.until_committed(names.frames, 950, 0)
        await installation.until_committed(names.frames, 950, 1)
    # The drain at each hand-over was in time: nothing came twice.
    seen = numbers(protocol)
    assert [n for n in seen if n < 1000] == list(range(950))
    assert [n for n in seen if n >= 1000] == list(range(1000, 1950))


async def test_revoked_partitions_that_cannot_be_drained_are_published_by_the_next_owner(
    mqtt: MqttBroker | ExistingMqtt, installation: Installation, protocol: Received
) -> None:
    names, identity = installation.names, installation.client_id
    wire = Wire(mqtt.host, mqtt.port)
    async with wire.listening() as port, installation.egress(port, "cut off"):
        installation.write(names.frames, [frame(identity, 0)], 0)
        installation.write(names.frames, [frame(identity, 1000)], 1)
        await installation.until_committed(names.frames, 1, 0)
        await installation.until_committed(names.frames, 1, 1)
        wire.up = False
        wire.cut()
        installation.write(names.frames, [frame(identity, n) for n in range(1, 100)], 0)
        installation.write(names.frames, [frame(identity, n) for n in range(1001, 1100)], 1)
        await asyncio.sleep(0.5)
        async with installation.egress(mqtt.port, "healthy"):
            # It gets one of the two partitions, and publishes what the other could not.
            await protocol.wait(2 + 99)
            committed = [installation.committed(names.frames, number) for number in (0, 1)]
            assert 1 in committed, "committed without an acknowledgement"
            wire.up = True
            await protocol.wait(2 + 99 + 99)
            await installation.until_committed(names.frames, 100, 0)
            await installation.until_committed(names.frames, 100, 1)
    seen = numbers(protocol)
    assert [n for n in seen if n < 1000] == list(range(100))
    assert [n for n in seen if n >= 1000] == list(range(1000, 1100))


@pytest.mark.parametrize("error", [ValueError("unforeseen"), asyncio.CancelledError()])
async def test_a_worker_that_can_not_commit_any_more_ends(
    mqtt: MqttBroker | ExistingMqtt,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    # An error that aiokafka does not declare, and one of its inner tasks' own end.
    async def commit(_consumer: object, _offsets: object) -> None:
        raise error

    monkeypatch.setattr(AIOKafkaConsumer, "commit", commit)
    installation.write(installation.names.frames, [frame(installation.client_id, 0)])
    options = MqttOptions(host=mqtt.host, port=mqtt.port, client_id=installation.client_id)
    publisher = Publisher(options)
    publishing = asyncio.create_task(publisher.run())
    worker = EgressWorker(installation.settings, publisher)
    await worker.start()
    try:
        with pytest.raises((ValueError, RuntimeError), match=r"unforeseen|_commit_regularly"):
            await asyncio.wait_for(worker.run(), 60)
    finally:
        publishing.cancel()
        await asyncio.wait({publishing})
        await worker.close()
