"""Simulated charge points that keep what they send until it is acknowledged (OCPP 1.6 §3.7, §4).

A message that got an error, no answer, or no connection is sent again with the same content under a
new message id, on whichever of the ingress's instances the charge point reaches next.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

_ANSWER_S: Final = 15.0
_PAUSE_S: Final = 0.3
_HOP: Final = 1 / 15
"""How often a charge point leaves its connection between two messages."""
_LOST: Final = (OSError, TimeoutError, WebSocketException)


class Acknowledged(msgspec.Struct, frozen=True):
    """A CALL with the positive answer that the charge point got for it; both as on the wire."""

    client_id: str
    call: bytes
    answer: bytes


class Session(msgspec.Struct, frozen=True):
    """A charging session whose Stop was acknowledged."""

    client_id: str
    transaction_id: int
    meter_start: int
    meter_stop: int
    registers: tuple[int, ...]


class Record(msgspec.Struct):
    """What a charge point saw."""

    acknowledged: list[Acknowledged] = []
    sessions: list[Session] = []
    attempts: int = 0
    errors: int = 0
    connections: int = 0


class ChargePoint:
    """One charge point.

    Args:
        name: Its identity.
        ports: Of the ingress's instances.
        seed: Of its dice.
    """

    def __init__(self, name: str, ports: Sequence[int], seed: str) -> None:
        self.record = Record([], [])
        self._name = name
        self._ports = ports
        self._dice = random.Random(f"{seed}/{name}")  # noqa: S311 - a seed is to repeat a run
        self._numbers = itertools.count(1)
        self._websocket: ClientConnection | None = None

    async def run(self, ended: Callable[[], bool]) -> None:
        """Charge, session after session; the last one is ended in order."""
        register = 1000
        await self._deliver(
            "BootNotification", {"chargePointVendor": "Soak", "chargePointModel": "Simulator"}
        )
        for number in itertools.count(1):
            register = await self._charge(number, register)
            if ended():
                break
        await self._leave()

    async def _charge(self, number: int, meter_start: int) -> int:
        when = f"2024-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
        await self._report("Preparing")
        answer = await self._deliver(
            "StartTransaction",
            {
                "connectorId": 1,
                "idTag": f"TAG{number}",
                "meterStart": meter_start,
                "timestamp": when,
            },
        )
        transaction_id = int(answer["transactionId"])
        await self._report("Charging")
        register, registers = meter_start, []
        for second in range(self._dice.randint(1, 4)):
            register += self._dice.randint(1, 500)
            registers.append(register)
            sampled = {"value": str(register), "measurand": "Energy.Active.Import.Register"}
            value = {"timestamp": f"2024-01-02T00:00:{second:02}Z", "sampledValue": [sampled]}
            await self._deliver(
                "MeterValues",
                {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]},
            )
        await self._deliver(
            "StopTransaction",
            {
                "transactionId": transaction_id,
                "idTag": f"TAG{number}",
                "meterStop": register,
                "timestamp": when.replace("01-01", "01-03"),
            },
        )
        await self._report("Available")
        self.record.sessions.append(
            Session(self._name, transaction_id, meter_start, register, tuple(registers))
        )
        return register

    async def _report(self, status: str) -> None:
        await self._deliver(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status}
        )

    async def _deliver(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send until it is acknowledged; the answer's payload."""
        if self._dice.random() < _HOP:
            await self._leave()
        while True:
            call = json.dumps([2, f"{self._name}-{next(self._numbers)}", action, payload]).encode()
            self.record.attempts += 1
            try:
                answer = await self._ask(call)
            except _LOST:
                await self._leave()
            else:
                if answer.startswith(b"[3,"):
                    self.record.acknowledged.append(Acknowledged(self._name, call, answer))
                    found: dict[str, Any] = json.loads(answer)[2]
                    return found
                self.record.errors += 1
            await asyncio.sleep(_PAUSE_S * self._dice.uniform(0.5, 2.0))

    async def _ask(self, call: bytes) -> bytes:
        websocket = await self._connected()
        await websocket.send(call, text=True)
        async with asyncio.timeout(_ANSWER_S):
            while True:
                answer = await websocket.recv(decode=False)
                # A late answer to an earlier attempt is not this one's.
                if json.loads(answer)[1] == json.loads(call)[1]:
                    return answer

    async def _connected(self) -> ClientConnection:
        if self._websocket is None:
            url = f"ws://127.0.0.1:{self._dice.choice(self._ports)}/{self._name}"
            self._websocket = await connect(
                url, subprotocols=[Subprotocol("ocpp1.6")], compression=None
            )
            self.record.connections += 1
        return self._websocket

    async def _leave(self) -> None:
        websocket, self._websocket = self._websocket, None
        if websocket is None:
            return
        if self._dice.random() < 1 / 2:
            websocket.transport.abort()  # as a lost network does
            return
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(_ANSWER_S):
                await websocket.close()
