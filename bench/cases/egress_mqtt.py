"""Publishing at QoS 1: the egress's MQTT connection and other clients, on one mosquitto."""

import asyncio
import shutil
import subprocess
import tempfile
import threading
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import aiomqtt
import uvloop
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.charging import fleet_frames
from bench.comparison import compare
from bench.size import Size
from devstack.errors import MissingToolError
from devstack.mqtt import Mosquitto
from egress.connection import MqttOptions
from egress.publisher import Publisher
from egress.routing import Publication, route_frame
from runtime import logs

_AIOMQTT_SHARE = 10  # it is that much slower: fewer messages give the same time


def run(size: Size) -> None:
    """Publications a second until the last acknowledgement.

    The payloads are the fleet's frames as the egress publishes them. Chargelog also sends its
    MQTT 5 properties, the others none. mosquitto_pub, the C client, has one topic for all.
    """
    if shutil.which("mosquitto_pub") is None:
        raise MissingToolError(
            "mosquitto_pub is not installed; on Debian: apt install mosquitto-clients"
        )
    logs.configure("warning", "console")
    frames = islice(fleet_frames(200), size.of(50_000, 500))
    publications = [route_frame(frame) for frame in frames]
    with Mosquitto() as broker, tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "payloads")
        lines.write_bytes(b"".join(each.payload + b"\n" for each in publications))
        compare(
            "egress_mqtt",
            "messages/s",
            {
                "chargelog": partial(_chargelog, broker.port, publications),
                "paho-loop_start": partial(_paho, broker.port, publications),
                "aiomqtt": partial(_aiomqtt, broker.port, publications),
                "mosquitto_pub": partial(_mosquitto_pub, broker.port, lines, len(publications)),
            },
            subject="chargelog",
            rounds=size.rounds,
        )


class _Delivery:
    wanted = True

    def __init__(self, publication: Publication, done: list[None]) -> None:
        self.publication = publication
        self._done = done

    def acknowledged(self) -> None:
        self._done.append(None)

    def refused(self, reason: str) -> None:
        raise AssertionError(reason)


def _chargelog(port: int, publications: list[Publication]) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_publish(port, publications))


async def _publish(port: int, publications: list[Publication]) -> float:
    publisher = Publisher(MqttOptions(host="127.0.0.1", port=port, client_id="chargelog"))
    publishing = asyncio.create_task(publisher.run())
    await publisher.wait_connected()
    done: list[None] = []
    begin = perf_counter()
    for publication in publications:
        if not publisher.room:
            await publisher.wait_for_room()
        publisher.submit(_Delivery(publication, done))
    while len(done) < len(publications):  # noqa: ASYNC110 - its own callbacks change it
        await asyncio.sleep(0.001)
    seconds = perf_counter() - begin
    publishing.cancel()
    await asyncio.wait({publishing})
    return len(publications) / seconds


def _paho(port: int, publications: list[Publication]) -> float:
    """As its documentation shows it: a thread of its own, its own window."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    connected, finished = threading.Event(), threading.Event()
    acknowledged = 0

    def on_publish(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1
        if acknowledged == len(publications):
            finished.set()

    client.on_connect = lambda *_: connected.set()
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(10)
    begin = perf_counter()
    for each in publications:
        client.publish(each.topic, each.payload, qos=1)
    assert finished.wait(600)
    seconds = perf_counter() - begin
    client.disconnect()
    client.loop_stop()
    return len(publications) / seconds


def _aiomqtt(port: int, publications: list[Publication]) -> float:
    # Not on uvloop: as its users start it.
    return asyncio.run(_await_each(port, publications[: len(publications) // _AIOMQTT_SHARE]))


async def _await_each(port: int, publications: list[Publication]) -> float:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        begin = perf_counter()
        for each in publications:
            await client.publish(each.topic, each.payload, qos=1)
        return len(publications) / (perf_counter() - begin)


def _mosquitto_pub(port: int, lines: Path, number: int) -> float:
    command = ("mosquitto_pub", "-p", str(port), "-V", "mqttv5", "-q", "1", "-t", "bench", "-l")
    with lines.open("rb") as stdin:
        begin = perf_counter()
        subprocess.run(command, stdin=stdin, check=True)  # noqa: S603 - the peer
        return number / (perf_counter() - begin)
