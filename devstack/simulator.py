"""Simulated OCPP 1.6 charge points: the `ocpp` library's client side over real websockets.

What a charge point will do is planned first (`plan`, a pure function of a seed), then done
(`operate`), in compressed time; what it did is recorded, to be compared with what came out.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ocpp.v16 import ChargePoint, call
from ocpp.v16.datatypes import MeterValue, SampledValue
from ocpp.v16.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Phase,
    ReadingContext,
    Reason,
    UnitOfMeasure,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

SUBPROTOCOL: Final = Subprotocol("ocpp1.6")
SAMPLE_INTERVAL: Final = timedelta(minutes=10)
"""Simulated time between meter values."""
_RESPONSE_TIMEOUT_S: Final = 30
_PHASES: Final = (Phase.l1_n, Phase.l2_n, Phase.l3_n)


class Sample(NamedTuple):
    """One meter value: register in Wh, power in W, voltage of each phase in V."""

    register: int
    power: int
    voltages: tuple[float, float, float]


class PlannedSession(NamedTuple):
    """One charging session of a connector; the last sample's register is the meterStop."""

    connector_id: int
    id_tag: str
    meter_start: int
    samples: tuple[Sample, ...]
    reason: Reason


@dataclass(frozen=True)
class Session:
    """A session as the charge point saw it; registers in Wh."""

    client_id: str
    connector_id: int
    id_tag: str
    transaction_id: int
    meter_start: int
    meter_stop: int
    start_time: datetime
    stop_time: datetime

    @property
    def energy_wh(self) -> int:
        """Energy charged."""
        return self.meter_stop - self.meter_start


@dataclass
class Record:
    """What one charge point did.

    Attributes:
        client_id: Its identity.
        frames: OCPP-J messages it sent and received.
        meter_values: meterValue elements it sent.
        status_changes: Statuses it reported, each other than that connector's last one.
        sessions: Its finished sessions, in the order of their ends.
    """

    client_id: str
    frames: int = 0
    meter_values: int = 0
    status_changes: int = 0
    sessions: list[Session] = field(default_factory=list)


class CompressedClock:
    """A clock that runs `speed` times faster than real time, from `start` on."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        """Simulated time."""
        return self._start + (datetime.now(UTC) - self._began) * self._speed

    async def sleep(self, simulated: timedelta) -> None:
        """Let simulated time pass."""
        await asyncio.sleep(simulated.total_seconds() / self._speed)


def plan(seed: int, client_id: str, connectors: int = 2) -> list[PlannedSession]:
    """One session for each connector; the same seed and identity give the same plan."""
    # A demonstration's dice, not a secret.
    dice = random.Random(f"{seed}/{client_id}")  # noqa: S311
    return [_plan_session(dice, connector_id) for connector_id in range(1, connectors + 1)]


def _plan_session(dice: random.Random, connector_id: int) -> PlannedSession:
    meter_start = register = dice.randrange(1_000, 500_000)
    power = dice.choice((3_700, 7_400, 11_000, 22_000))
    hours = SAMPLE_INTERVAL / timedelta(hours=1)
    samples = []
    for _ in range(dice.randint(3, 6)):
        drawn = round(power * dice.uniform(0.9, 1.0))
        register += round(drawn * hours)
        first, second, third = (round(dice.uniform(226.0, 234.0), 1) for _ in _PHASES)
        samples.append(Sample(register, drawn, (first, second, third)))
    return PlannedSession(
        connector_id=connector_id,
        id_tag=f"TAG{dice.randrange(1_000, 10_000)}",
        meter_start=meter_start,
        samples=tuple(samples),
        reason=dice.choice((Reason.local, Reason.ev_disconnected)),
    )


async def operate(
    url: str, client_id: str, sessions: Sequence[PlannedSession], clock: CompressedClock
) -> Record:
    """Boot, run the planned sessions (connectors at the same time), disconnect.

    Args:
        url: The central system, e.g. `ws://localhost:9000`; the identity is appended.
        client_id: The charge point's identity.
        sessions: From `plan`.
        clock: Gives the timestamps and the pace.

    Raises:
        ExceptionGroup: Of OCPPError (the central system answered with a CALLERROR), TimeoutError
            (it did not answer), ConnectionClosed.
        OSError, WebSocketException: The connection could not be made.
    """
    address = f"{url}/{quote(client_id, safe='')}"
    async with connect(address, subprotocols=[SUBPROTOCOL]) as websocket:
        charge_point = _SimulatedChargePoint(client_id, websocket, clock)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(charge_point.listen())
            await charge_point.run(sessions)
            listening.cancel()
    return charge_point.record


class _CountingConnection:
    """The connection as the `ocpp` library uses it; counts the messages of both directions."""

    def __init__(self, websocket: ClientConnection, record: Record) -> None:
        self._websocket = websocket
        self._record = record

    async def recv(self) -> str:
        text = await self._websocket.recv(decode=True)
        self._record.frames += 1
        return text

    async def send(self, text: str) -> None:
        await self._websocket.send(text)
        self._record.frames += 1


class _SimulatedChargePoint:
    def __init__(self, client_id: str, websocket: ClientConnection, clock: CompressedClock) -> None:
        self.record = Record(client_id)
        self._clock = clock
        self._statuses: dict[int, ChargePointStatus] = {}
        connection = _CountingConnection(websocket, self.record)
        self._ocpp = ChargePoint(client_id, connection, response_timeout=_RESPONSE_TIMEOUT_S)

    async def listen(self) -> None:
        await self._ocpp.start()

    async def run(self, sessions: Sequence[PlannedSession]) -> None:
        await self._call(
            call.BootNotification(
                charge_point_vendor="Chargelog",
                charge_point_model="Simulator",
                charge_point_serial_number=self.record.client_id,
                firmware_version="1.0",
            )
        )
        for connector_id in (0, *(session.connector_id for session in sessions)):
            await self._report(connector_id, ChargePointStatus.available)
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(self._charge(session))
        await self._call(call.Heartbeat())

    async def _charge(self, session: PlannedSession) -> None:
        connector_id, id_tag = session.connector_id, session.id_tag
        await self._report(connector_id, ChargePointStatus.preparing)
        await self._call(call.Authorize(id_tag=id_tag))
        start_time = self._now()
        started = await self._call(
            call.StartTransaction(
                connector_id=connector_id,
                id_tag=id_tag,
                meter_start=session.meter_start,
                timestamp=_text(start_time),
            )
        )
        transaction_id: int = started.transaction_id
        await self._report(connector_id, ChargePointStatus.charging)
        for sample in session.samples:
            await self._clock.sleep(SAMPLE_INTERVAL)
            await self._measure(connector_id, transaction_id, sample)
        await self._report(connector_id, ChargePointStatus.finishing)
        stop_time = self._now()
        meter_stop = session.samples[-1].register
        await self._call(
            call.StopTransaction(
                transaction_id=transaction_id,
                id_tag=id_tag,
                meter_stop=meter_stop,
                timestamp=_text(stop_time),
                reason=session.reason,
            )
        )
        self.record.sessions.append(
            Session(
                client_id=self.record.client_id,
                connector_id=connector_id,
                id_tag=id_tag,
                transaction_id=transaction_id,
                meter_start=session.meter_start,
                meter_stop=meter_stop,
                start_time=start_time,
                stop_time=stop_time,
            )
        )
        await self._report(connector_id, ChargePointStatus.available)

    async def _measure(self, connector_id: int, transaction_id: int, sample: Sample) -> None:
        values = [
            _sampled(sample.register, Measurand.energy_active_import_register, UnitOfMeasure.wh),
            _sampled(sample.power, Measurand.power_active_import, UnitOfMeasure.w),
            *(
                _sampled(voltage, Measurand.voltage, UnitOfMeasure.v, phase)
                for phase, voltage in zip(_PHASES, sample.voltages, strict=True)
            ),
        ]
        await self._call(
            call.MeterValues(
                connector_id=connector_id,
                transaction_id=transaction_id,
                meter_value=[MeterValue(timestamp=_text(self._now()), sampled_value=values)],
            )
        )
        self.record.meter_values += 1

    async def _report(self, connector_id: int, status: ChargePointStatus) -> None:
        await self._call(
            call.StatusNotification(
                connector_id=connector_id,
                error_code=ChargePointErrorCode.no_error,
                status=status,
                timestamp=_text(self._now()),
            )
        )
        if self._statuses.get(connector_id) != status:
            self._statuses[connector_id] = status
            self.record.status_changes += 1

    async def _call(self, request: object) -> Any:  # noqa: ANN401 - the library's, by request
        return await self._ocpp.call(request, suppress=False)

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)


def _sampled(
    value: float, measurand: Measurand, unit: UnitOfMeasure, phase: Phase | None = None
) -> SampledValue:
    return SampledValue(
        value=str(value),
        context=ReadingContext.sample_periodic,
        measurand=measurand,
        phase=phase,
        unit=unit,
    )


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
