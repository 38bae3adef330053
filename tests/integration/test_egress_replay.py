"""`chargelog-egress --replay` as a process: what it publishes, and what it leaves alone."""

import asyncio
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
from confluent_kafka import Producer
from egress_installation import Installation, event, frame
from mqtt_subscriber import Received, subscriber

from devstack.existing import ExistingKafka, ExistingMqtt
from devstack.kafka import KafkaBroker
from devstack.mqtt import MqttBroker
from egress.settings import EgressSettings
from schemas.timestamps import format_micros

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
BEGIN = 1_701_944_000 * SECOND


class Done(NamedTuple):
    code: int
    out: str
    error: str


class Replayer:
    """The command, with one installation's settings."""

    def __init__(
        self, installation: Installation, mqtt: MqttBroker | ExistingMqtt, directory: Path
    ) -> None:
        self.installation = installation
        self.prefix = f"again/{installation.client_id}"
        self.mqtt = mqtt
        self._directory = directory
        own = {
            "KAFKA_BOOTSTRAP_SERVERS": installation.servers,
            "TOPIC_PREFIX": installation.names.prefix,
            "PARTITIONS": "2",
            "MQTT_HOST": mqtt.host,
            "MQTT_PORT": str(mqtt.port),
            "MQTT_CLIENT_ID": installation.client_id,
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in EgressSettings.model_fields
        }
        self.environment = inherited | own

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "egress", "--replay", *arguments),
            cwd=self._directory,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Done:
        process = await self.start(*arguments)
        out, error = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), error.decode())


@pytest.fixture
def replayer(
    kafka: KafkaBroker | ExistingKafka,
    mqtt: MqttBroker | ExistingMqtt,
    topic_prefix: str,
    tmp_path: Path,
) -> Replayer:
    return Replayer(Installation(kafka.bootstrap_servers, topic_prefix), mqtt, tmp_path)


def fill(installation: Installation, seconds: int) -> None:
    """One frame a second, in turn on two partitions and of two charge points."""
    producer = Producer({"bootstrap.servers": installation.servers, "enable.idempotence": True})
    for number in range(seconds):
        at_ns = BEGIN + number * SECOND
        key = f"{installation.client_id}-{number % 2}"
        producer.produce(
            installation.names.frames,
            frame(key, number, at_ns),
            key=key,
            partition=number % 2,
            timestamp=at_ns // 1_000_000,
        )
    assert producer.flush(60) == 0


def at(second: int) -> str:
    return format_micros((BEGIN + second * SECOND) // 1000)


def numbers(received: Received) -> list[int]:
    return [orjson.loads(payload)["payload"]["n"] for payload in received.payloads]


async def test_all_of_the_log_comes_again_in_the_order_of_time_beside_the_live_egress(
    replayer: Replayer,
) -> None:
    installation, mqtt = replayer.installation, replayer.mqtt
    fill(installation, 40)
    installation.write(installation.names.events, [event(installation.client_id)])
    with (
        subscriber(mqtt.host, mqtt.port, f"{replayer.prefix}/ocpp/#") as again,
        subscriber(mqtt.host, mqtt.port, f"{replayer.prefix}/csms/#") as business,
    ):
        async with installation.egress(mqtt.port):
            await installation.until_committed(installation.names.frames, 20, 0)
            await installation.until_committed(installation.names.frames, 20, 1)
            done = await replayer.run("--prefix", replayer.prefix)
            await again.wait(40)
            await business.wait(1)
            # The live instance is there and its offsets are its own.
            fill(installation, 2)
            await installation.until_committed(installation.names.frames, 21, 0)
    assert (done.code, done.error) == (0, done.error)
    assert done.out == "41 messages published, 0 records left out, 0 unreadable, 0 refused\n"
    assert numbers(again) == list(range(40))
    identity = installation.client_id
    topics = [message.topic for message in again.messages[:2]]
    assert topics == [
        f"{replayer.prefix}/ocpp/messages/{identity}-{number}/DataTransfer" for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from", at(10), "--to", at(20)), list(range(10, 20))),
        (("--from", at(100)), []),
        (("--charge-point", "{identity}-1", "--from", at(30)), [31, 33, 35, 37, 39]),
        (("--offset", "{frames}:0:19", "--offset", "{frames}:1:19"), [38, 39]),
    ],
)
async def test_a_part_of_the_log(
    replayer: Replayer, arguments: tuple[str, ...], expected: list[int]
) -> None:
    installation, mqtt = replayer.installation, replayer.mqtt
    fill(installation, 40)
    filled = [
        each.format(identity=installation.client_id, frames=installation.names.frames)
        for each in arguments
    ]
    with subscriber(mqtt.host, mqtt.port, f"{replayer.prefix}/#") as again:
        done = await replayer.run("--prefix", replayer.prefix, "--json", *filled)
        await again.wait(len(expected))
    assert done.code == 0, done.error
    assert numbers(again) == expected
    outcome = json.loads(done.out)
    assert (outcome["published"], outcome["complete"], outcome["nextOffsets"]) == (
        len(expected), True, [],
    )  # fmt: skip


async def test_pace_keeps_the_distances(replayer: Replayer) -> None:
    mqtt = replayer.mqtt
    fill(replayer.installation, 21)
    with subscriber(mqtt.host, mqtt.port, f"{replayer.prefix}/#") as again:
        process = await replayer.start("--prefix", replayer.prefix, "--pace", "10")
        await again.wait(21)
        await asyncio.wait_for(process.communicate(), 90)
    # 20 s of log at ten times the speed; a busy machine may see the first one late.
    assert again.messages[-1].timestamp - again.messages[0].timestamp > 1
    assert numbers(again) == list(range(21))


async def test_interrupted_it_says_how_to_go_on_and_going_on_leaves_no_gap(
    replayer: Replayer,
) -> None:
    mqtt = replayer.mqtt
    fill(replayer.installation, 900)
    with subscriber(mqtt.host, mqtt.port, f"{replayer.prefix}/#") as again:
        process = await replayer.start("--prefix", replayer.prefix, "--pace", "10")
        await again.wait(10)
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode == 130
        *_, resume = out.decode().splitlines()
        before = len(again.messages)
        assert before < 900
        words = [word for word in shlex.split(resume)[2:] if word not in {"--pace", "10"}]
        done = await replayer.run(*words)
        await again.wait(900)
    assert done.code == 0, done.error
    assert sorted(numbers(again)) == list(range(900))


async def test_what_cannot_be_read_is_counted_and_named(replayer: Replayer) -> None:
    installation = replayer.installation
    fill(installation, 2)
    installation.write(installation.names.frames, [b"rubbish", None])
    done = await replayer.run("--prefix", replayer.prefix)
    assert done.code == 1
    assert done.out == "2 messages published, 0 records left out, 2 unreadable, 0 refused\n"
    assert '"offset": 1' in done.error
    assert "CodecError" in done.error


async def test_missing_topics_and_partitions_are_named(replayer: Replayer) -> None:
    done = await replayer.run("--prefix", "p", "--offset", "other:0:1")
    assert done.code == 1
    assert "other:0" in done.error
    replayer.environment["TOPIC_PREFIX"] = "no-such-installation."
    done = await replayer.run("--prefix", "p")
    assert done.code == 1
    assert "no-such-installation.ocpp.frames" in done.error
    assert "Traceback" not in done.error
