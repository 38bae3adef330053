"""Simulated charge points: the `ocpp` library's client side over real websockets."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from devstack.simulation import (
    CompressedClock,
    PlannedSession,
    Record,
    Session,
    SimulatedChargePoint,
    plan,
)
from devstack.simulator16 import SimulatedChargePoint16
from devstack.simulator201 import SimulatedChargePoint201

__all__ = ["VERSIONS", "CompressedClock", "PlannedSession", "Record", "Session", "operate", "plan"]

VERSIONS: Final[dict[str, type[SimulatedChargePoint]]] = {
    "ocpp1.6": SimulatedChargePoint16,
    "ocpp2.0.1": SimulatedChargePoint201,
}
"""By subprotocol."""


async def operate(
    url: str,
    client_id: str,
    sessions: Sequence[PlannedSession],
    clock: CompressedClock,
    version: str = "ocpp1.6",
) -> Record:
    """Boot, run the planned sessions (at the same time), disconnect.

    Args:
        url: The central system, e.g. `ws://localhost:9000`; the identity is appended.
        client_id: The charge point's identity.
        sessions: From `plan`.
        clock: Gives the timestamps and the pace.
        version: A key of `VERSIONS`.

    Raises:
        ExceptionGroup: Of OCPPError (the central system answered with a CALLERROR), TimeoutError
            (it did not answer), ConnectionClosed.
        OSError, WebSocketException: The connection could not be made.
    """
    address = f"{url}/{quote(client_id, safe='')}"
    async with connect(address, subprotocols=[Subprotocol(version)]) as websocket:
        charge_point = VERSIONS[version](websocket, Record(client_id), clock)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(charge_point.listen())
            await charge_point.run(sessions)
            listening.cancel()
    return charge_point.record
