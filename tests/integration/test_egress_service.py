"""`python -m egress` as a process: waiting for brokers, readiness, an orderly end."""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from egress_installation import Installation, frame, numbers
from egress_kit import Wire
from mqtt_subscriber import subscriber, until

from devstack.existing import ExistingKafka, ExistingMqtt
from devstack.kafka import KafkaBroker
from devstack.mqtt import MqttBroker
from devstack.process import free_port
from egress.settings import EgressSettings

pytestmark = pytest.mark.integration


class Service:
    """A running egress."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, ops_port: int) -> None:
        self.process = process
        self._log = log
        self._ops_port = ops_port

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def messages(self) -> list[str]:
        # librdkafka writes lines of its own beside the JSON ones.
        lines = (line for line in self.output.splitlines() if line.startswith("{"))
        return [json.loads(line)["event"] for line in lines]

    def ready(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ops_port}/readyz") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ops_port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.split()[-1]) for line in found)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 90)


@asynccontextmanager
async def service(directory: Path, **settings: object) -> AsyncIterator[Service]:
    """Start it with these settings (lower-case names) and nothing else from the environment."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in EgressSettings.model_fields
    }
    ops_port = free_port()
    chosen = settings | {"egress_ops_port": ops_port}
    log = directory / f"{ops_port}.log"
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "egress",
            cwd=directory,
            env=inherited | {name.upper(): str(value) for name, value in chosen.items()},
            stderr=stream,
        )
    try:
        yield Service(process, log, ops_port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_unreachable_brokers_are_waited_for_in_clear_words(tmp_path: Path) -> None:
    kafka, mqtt = free_port(), free_port()
    async with service(
        tmp_path,
        kafka_bootstrap_servers=f"127.0.0.1:{kafka}",
        mqtt_host="127.0.0.1",
        mqtt_port=mqtt,
    ) as egress:
        await until(
            lambda: {"waiting for Kafka", "waiting for the MQTT broker"} <= set(egress.messages)
        )
        assert egress.ready() == (503, "not ready: the MQTT broker is not connected\n")
        assert await egress.stop() == 0
        assert "Traceback" not in egress.output
        assert f'"mqtt_port": {mqtt}' in egress.output
        assert "MQTT_HOST" in egress.output


async def test_topics_of_another_shape_end_it_with_one_clear_line(
    kafka: KafkaBroker | ExistingKafka,
    mqtt: MqttBroker | ExistingMqtt,
    tmp_path: Path,
    topic_prefix: str,
) -> None:
    Installation(kafka.bootstrap_servers, topic_prefix)
    async with service(
        tmp_path,
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=topic_prefix,
        partitions=3,
        mqtt_host=mqtt.host,
        mqtt_port=mqtt.port,
    ) as egress:
        assert await asyncio.wait_for(egress.process.wait(), 90) == 1
        assert "Traceback" not in egress.output
        # librdkafka may have written a line of its own behind it.
        own = [line for line in egress.output.splitlines() if not line.startswith("%")]
        assert f"{topic_prefix}ocpp.frames" in own[-1]


async def test_sigterm_under_load_leaves_nothing_to_repeat(
    kafka: KafkaBroker | ExistingKafka,
    mqtt: MqttBroker | ExistingMqtt,
    tmp_path: Path,
    topic_prefix: str,
) -> None:
    installation = Installation(kafka.bootstrap_servers, topic_prefix)
    identity, total = installation.client_id, 20_000
    installation.write(installation.names.frames, [frame(identity, n) for n in range(total)])
    settings = {
        "kafka_bootstrap_servers": kafka.bootstrap_servers,
        "topic_prefix": topic_prefix,
        "partitions": 2,
        "mqtt_host": mqtt.host,
        "mqtt_port": mqtt.port,
    }
    with subscriber(mqtt.host, mqtt.port, f"ocpp/messages/{identity}/#") as received:
        async with service(tmp_path, **settings) as egress:
            await received.wait(500)
            assert await egress.stop() == 0
            assert egress.messages[-1] == "egress stopped"
            assert '"unacknowledged": 0' in egress.output
        delivered = len(received.messages)
        assert 500 <= delivered < total, "stopped after the load: nothing was tested"
        async with service(tmp_path, **settings) as egress:
            await received.wait(total)
            await until(lambda: egress.metric("chargelog_egress_published_total") > 0)
            assert egress.ready() == (200, "ready\n")
            assert await egress.stop() == 0
    assert numbers(received) == list(range(total))


async def test_lost_mqtt_broker_makes_it_unready_until_it_is_back(
    kafka: KafkaBroker | ExistingKafka,
    mqtt: MqttBroker | ExistingMqtt,
    tmp_path: Path,
    topic_prefix: str,
) -> None:
    wire = Wire(mqtt.host, mqtt.port)
    async with (
        wire.listening() as port,
        service(
            tmp_path,
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix=topic_prefix,
            partitions=1,
            mqtt_host="127.0.0.1",
            mqtt_port=port,
        ) as egress,
    ):
        await until(lambda: "egress running" in egress.messages)
        assert await asyncio.to_thread(egress.ready) == (200, "ready\n")
        wire.up = False
        wire.cut()
        await until(lambda: "waiting for the MQTT broker" in egress.messages)
        assert (await asyncio.to_thread(egress.ready))[0] == 503
        wire.up = True
        await until(lambda: egress.messages.count("connected to the MQTT broker") == 2)
        assert await egress.stop() == 0


async def test_kafka_outage_is_outlived_and_does_not_hinder_the_end(
    mqtt: MqttBroker | ExistingMqtt, tmp_path: Path, topic_prefix: str
) -> None:
    with KafkaBroker(tmp_path / "kafka") as kafka:
        installation = Installation(kafka.bootstrap_servers, topic_prefix)
        names, identity = installation.names, installation.client_id
        installation.write(names.frames, [frame(identity, n) for n in range(100)])
        async with service(
            tmp_path,
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix=topic_prefix,
            partitions=2,
            mqtt_host=mqtt.host,
            mqtt_port=mqtt.port,
        ) as egress:
            with subscriber(mqtt.host, mqtt.port, f"ocpp/messages/{identity}/#") as received:
                await received.wait(100)
                await asyncio.to_thread(kafka.stop)
                await asyncio.to_thread(kafka.start)
                installation.write(names.frames, [frame(identity, n) for n in range(100, 200)])
                await received.wait(200)
                # Acknowledged and not committed: at least once.
                assert list(dict.fromkeys(numbers(received))) == list(range(200))
            await installation.until_committed(names.frames, 200)
            await asyncio.to_thread(kafka.stop)
            assert await egress.stop() == 0
            assert "Traceback" not in egress.output
