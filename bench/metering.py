"""Charge points that send meter values at a steady pace, and who reads what came of them.

The pace is an open loop: each frame has a moment at which it is due, and its latency counts from
then, whether it could be sent at that moment or not. A system that falls behind can't hide it by
being asked less.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Final, NamedTuple, Self, TypeAlias

import orjson
import uvloop
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

FRAME_TOPIC: Final = "ocpp/messages/+/MeterValues"
EVENT_TOPIC: Final = "csms/transactions/+/meter_reading"
_SUBPROTOCOL: Final = Subprotocol("ocpp1.6")
_WH_PER_KWH: Final = 1000
_NS: Final = 1_000_000_000
_START_TIMEOUT_S: Final = 30.0
_DRAIN_S: Final = 120.0
_QUIET_S: Final = 10.0
"""Nothing for so long: nothing more comes."""
_FLUSH_S: Final = 1.0

Due: TypeAlias = dict[int, int]


class Arrivals(NamedTuple):
    """Number of the frame → when the subscriber had it (Unix ns)."""

    frames: dict[int, int]
    events: dict[int, int]


def meter_values(number: int) -> str:
    """The frame of this number: its message id, and its register in kWh."""
    return orjson.dumps(
        [
            2,
            str(number),
            "MeterValues",
            {
                "connectorId": 1,
                "meterValue": [
                    {
                        "timestamp": "2026-01-01T00:00:00Z",
                        "sampledValue": [
                            {
                                "value": str(number * _WH_PER_KWH),
                                "measurand": "Energy.Active.Import.Register",
                                "unit": "Wh",
                            }
                        ],
                    }
                ],
            },
        ]
    ).decode()


class Subscriber:
    """An MQTT subscriber in a process of its own; it notes times and does nothing else."""

    def __init__(self, host: str, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_subscribe, args=(host, port, there), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        if not self._here.poll(_START_TIMEOUT_S):
            raise TimeoutError("the subscriber got no SUBACK")
        self._here.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def arrivals(self, frames: int, events: int) -> Arrivals:
        """What came since the last call; waits for so many, while anything comes."""
        deadline = time.monotonic() + _DRAIN_S
        had, since = (0, 0), time.monotonic()
        while time.monotonic() < deadline:
            self._here.send("count")
            count = self._here.recv()
            if count != had:
                had, since = count, time.monotonic()
            if (count[0] >= frames and count[1] >= events) or time.monotonic() - since > _QUIET_S:
                break
            time.sleep(0.1)
        self._here.send("take")
        return Arrivals(*self._here.recv())


def _subscribe(host: str, port: int, pipe: Connection) -> None:
    frames: dict[int, int] = {}
    events: dict[int, int] = {}

    def note(_client: object, _data: object, message: MQTTMessage) -> None:
        now = time.time_ns()
        payload = orjson.loads(message.payload)
        if message.topic.startswith("ocpp/"):
            frames.setdefault(int(payload["requestId"]), now)
        else:
            events.setdefault(int(payload["payload"]["totalEnergy"]), now)

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = note
    client.on_subscribe = lambda *_: pipe.send("ready")
    client.connect(host, port)
    client.loop_start()
    client.subscribe([(FRAME_TOPIC, 1), (EVENT_TOPIC, 1)])
    while True:
        if pipe.recv() == "count":
            pipe.send((len(frames), len(events)))
        else:
            taken = dict(frames), dict(events)
            frames.clear()
            events.clear()
            pipe.send(taken)


def charge(url: str, rate: int, seconds: float, first: int) -> Due:
    """Send meter values through the ingress; number of each frame → when it was due (Unix ns)."""
    return uvloop.run(_charge(url, rate, seconds, first))


async def _charge(url: str, rate: int, seconds: float, first: int) -> Due:
    # Each has one request under way at a time (OCPP-J 1.6 §4.1.1), so it takes many for a pace.
    number = max(10, rate // 5)
    connections = [
        await connect(f"{url}/bench-{i}", subprotocols=[_SUBPROTOCOL]) for i in range(number)
    ]
    try:
        senders = [_sender(connection) for connection in connections]
        return await _paced(senders, rate, seconds, first)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


def _sender(connection: ClientConnection) -> Callable[[int], Awaitable[None]]:
    async def send(number: int) -> None:
        await connection.send(meter_values(number))
        answer = await connection.recv(decode=False)
        if orjson.loads(answer)[0] != 3:  # noqa: PLR2004 - CALLRESULT
            raise AssertionError(answer)

    return send


def publish(broker: tuple[str, int], rate: int, seconds: float, first: int) -> Due:
    """Publish the same frames straight to the MQTT broker; as `charge`."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_queued_messages_set(0)
    client.connect(*broker)
    client.loop_start()

    async def send(number: int) -> None:
        frame = orjson.loads(meter_values(number))
        message = {"messageType": frame[2], "requestId": frame[1], "payload": frame[3]}
        client.publish("ocpp/messages/bench/MeterValues", orjson.dumps(message), qos=1)

    try:
        return uvloop.run(_paced([send] * 10, rate, seconds, first))
    finally:
        # What is still queued goes out first, as far as it can.
        time.sleep(_FLUSH_S)
        client.disconnect()
        client.loop_stop()


async def _paced(
    senders: list[Callable[[int], Awaitable[None]]], rate: int, seconds: float, first: int
) -> Due:
    """Number of each frame that was sent → when it was due."""
    due: Due = {}
    begin = time.time_ns()
    end = begin + int(seconds * _NS)
    numbers = iter(range(first, first + int(rate * seconds)))

    async def work(send: Callable[[int], Awaitable[None]]) -> None:
        for number in numbers:
            at = begin + (number - first) * _NS // rate
            delay = (at - time.time_ns()) / _NS
            if delay > 0:
                await asyncio.sleep(delay)
            elif time.time_ns() > end:
                return
            due[number] = at
            await send(number)

    await asyncio.gather(*(work(send) for send in senders))
    return due
