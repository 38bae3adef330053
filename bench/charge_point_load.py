"""Charge points by the thousand in one process: as little client as a measurement needs.

Each is a protocol on a socket that masks with zeros and only counts frames back, so that the server
under test is the one that is measured.
"""

import asyncio
import base64
import itertools
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import perf_counter
from typing import Final, NamedTuple, cast

HEARTBEAT: Final = b'[2,"%s","Heartbeat",{}]'
METER_VALUES: Final = (
    b'[2,"%s","MeterValues",{"connectorId":1,"transactionId":17,"meterValue":[{"timestamp":'
    b'"2023-12-07T10:15:30Z","sampledValue":[{"value":"25000","measurand":'
    b'"Energy.Active.Import.Register","unit":"Wh","context":"Sample.Periodic"},{"value":"7360.5",'
    b'"measurand":"Power.Active.Import","unit":"W"},{"value":"230.1","measurand":"Voltage",'
    b'"phase":"L1-N","unit":"V"}]}]}]'
)
_LOOPBACKS: Final = 8
"""127.0.0.1 … 127.0.0.8: addresses to connect from, each with ports of its own."""
_SHORT, _LONG = 126, 127  # RFC 6455 §5.2: the length is in the next two or eight bytes


class ChargePoint(asyncio.Protocol):
    """One connection; `ask` sends a CALL, and its future is done with the answer's arrival."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._buffer = bytearray()
        self._ids = itertools.count()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] | None = None
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        # uvloop's transports are not derived from asyncio's.
        self._transport = stream = cast("asyncio.Transport", transport)
        self._answered = asyncio.get_running_loop().create_future()
        key = base64.b64encode(os.urandom(16)).decode()
        stream.write(
            f"GET /{self._name} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count frames; answer pings."""
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                self._fail(ConnectionError(bytes(self._buffer[:200])))
                return
            del self._buffer[: end + 4]
            self._open = True
            self._done()
        while (size := _frame_size(self._buffer)) is not None:
            opcode = self._buffer[0] & 0x0F
            if opcode == 9 and self._transport is not None:  # noqa: PLR2004 - RFC 6455 §5.5.2: ping
                self._transport.write(_masked(10, bytes(self._buffer[2:size])))
            elif opcode == 8:  # noqa: PLR2004 - RFC 6455 §5.5.1: close
                self._fail(ConnectionError(bytes(self._buffer[2:size])))
            else:
                self._done()
            del self._buffer[:size]

    def connection_lost(self, exc: Exception | None) -> None:
        """What is waited for will not come."""
        self._fail(exc or ConnectionError("the server closed the connection"))

    async def opened(self) -> None:
        """Return once the handshake is through."""
        if self._answered is not None:
            await self._answered

    async def ask(self, template: bytes) -> None:
        """Send one CALL and wait for its answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answered = asyncio.get_running_loop().create_future()
        message_id = f"{self._name}-{next(self._ids)}".encode()
        self._transport.write(_masked(1, template % message_id))
        await self._answered

    def abort(self) -> None:
        """Close without a goodbye, which leaves no port in TIME_WAIT."""
        if self._transport is not None:
            self._answered = None
            self._transport.abort()

    def _done(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


class Latency(NamedTuple):
    """Seconds until answers, over a fleet."""

    p50: float
    p99: float
    answers: int


async def connect(port: int, number: int) -> list[ChargePoint]:
    """A fleet of `number`, connected at most some hundred at a time."""
    gate = asyncio.Semaphore(200)

    async def one(index: int) -> ChargePoint:
        async with gate:
            return await connect_one(port, index)

    return list(await asyncio.gather(*(one(index) for index in range(number))))


async def connect_one(port: int, index: int) -> ChargePoint:
    """The charge point with this number."""
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: ChargePoint(f"CP{index}"),
        "127.0.0.1",
        port,
        local_addr=(f"127.0.0.{1 + index % _LOOPBACKS}", 0),
    )
    await protocol.opened()
    return protocol


async def throughput(fleet: Sequence[ChargePoint], seconds: float) -> float:
    """Answers a second with one CALL of each charge point outstanding all the time."""
    answers = 0
    end = perf_counter() + seconds

    async def one(charge_point: ChargePoint) -> None:
        nonlocal answers
        while perf_counter() < end:
            await charge_point.ask(METER_VALUES)
            answers += 1

    began = perf_counter()
    await asyncio.gather(*map(one, fleet))
    return answers / (perf_counter() - began)


async def latency(fleet: Sequence[ChargePoint], seconds: float) -> Latency:
    """A heartbeat a minute and a meter value each 10 s of every charge point, spread evenly."""
    waits: list[float] = []
    began = perf_counter()

    async def one(index: int, charge_point: ChargePoint) -> None:
        share = index / len(fleet)
        events = sorted(
            [(at, METER_VALUES) for at in _times(10.0, share, seconds)]
            + [(at, HEARTBEAT) for at in _times(60.0, share, seconds)]
        )
        for at, template in events:
            await asyncio.sleep(max(0.0, began + at - perf_counter()))
            sent = perf_counter()
            await charge_point.ask(template)
            waits.append(perf_counter() - sent)

    await asyncio.gather(*(one(i, charge_point) for i, charge_point in enumerate(fleet)))
    waits.sort()
    return Latency(waits[len(waits) // 2], waits[len(waits) * 99 // 100], len(waits))


def _times(interval: float, share: float, seconds: float) -> Iterable[float]:
    return itertools.takewhile(lambda at: at < seconds, itertools.count(interval * share, interval))


async def storm(port: int, number: int) -> float:
    """Seconds until `number` charge points that all connect at once have had an answer each."""
    began = perf_counter()
    fleet: list[ChargePoint] = []

    async def one(index: int) -> None:
        charge_point = await connect_one(port, index)
        fleet.append(charge_point)
        await charge_point.ask(HEARTBEAT)

    await asyncio.gather(*(one(index) for index in range(number)))
    seconds = perf_counter() - began
    close(fleet)
    return seconds


def close(fleet: Iterable[ChargePoint]) -> None:
    """Drop every connection."""
    for charge_point in fleet:
        charge_point.abort()


Measurement = Callable[[int], Awaitable[float]]


def _frame_size(buffer: bytearray) -> int | None:
    """Bytes of the first frame, where it is there whole (a server's: not masked)."""
    if len(buffer) < 2:  # noqa: PLR2004 - RFC 6455 §5.2
        return None
    length, head = buffer[1], 2
    if length >= _SHORT:
        head = 4 if length == _SHORT else 10
        if len(buffer) < head:
            return None
        length = int.from_bytes(buffer[2:head], "big")
    return head + length if len(buffer) >= head + length else None


def _masked(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < _SHORT:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | _SHORT)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload
