"""A subscriber on a real MQTT broker, for the tests that look at what comes out."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


class Received:
    """What a subscriber got, in order of arrival."""

    def __init__(self) -> None:
        self.messages: list[MQTTMessage] = []

    @property
    def payloads(self) -> list[bytes]:
        return [bytes(message.payload) for message in self.messages]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The payloads, which are JSON."""
        return [json.loads(payload) for payload in self.payloads]

    def under(self, start: str) -> "Received":
        """What came on topics that start so."""
        some = Received()
        some.messages = [message for message in self.messages if message.topic.startswith(start)]
        return some

    async def wait(self, number: int, timeout_s: float = 90) -> None:
        await until(lambda: len(self.messages) >= number, timeout_s)


@contextmanager
def subscriber(
    host: str,
    port: int,
    *topics: str,
    version: Literal["5", "3.1.1"] = "5",
    keep: bool = False,
    qos: int = 1,
) -> Iterator[Received]:
    """A paho subscriber with a thread of its own; it subscribes again after a reconnect.

    With `keep` (MQTT 3.1.1) the broker keeps its session, and what comes while it is away.
    """
    received = Received()
    ready = threading.Event()
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"subscriber-{time.monotonic_ns()}",
        protocol=MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311,
        clean_session=None if version == "5" else not keep,
    )
    client.reconnect_delay_set(1, 1)

    def subscribe(*_: object) -> None:
        client.subscribe([(topic, qos) for topic in topics])

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _c, _u, message: received.messages.append(message)
    client.connect(host, port)
    client.loop_start()
    try:
        assert ready.wait(10), "the subscriber got no SUBACK"
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


async def until(condition: Callable[[], Any], timeout_s: float = 90) -> None:
    """Wait for a condition, or fail."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - other threads and processes change it
            await asyncio.sleep(0.01)
