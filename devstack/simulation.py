"""What simulated charge points of every OCPP version have in common: plan, clock, record.

What a charge point will do is planned first (`plan`, a pure function of a seed), then done in
compressed time; what it did is recorded, to be compared with what came out.
"""

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

from ocpp.charge_point import ChargePoint
from websockets.asyncio.client import ClientConnection

SAMPLE_INTERVAL: Final = timedelta(minutes=10)
"""Simulated time between meter values."""
RESPONSE_TIMEOUT_S: Final = 30
_CALL: Final = 2
PHASES: Final = ("L1-N", "L2-N", "L3-N")


class Sample(NamedTuple):
    """One meter value: register in Wh, power in W, voltage of each phase in V."""

    register: int
    power: int
    voltages: tuple[float, float, float]


class PlannedSession(NamedTuple):
    """One charging session.

    `place` is the number of the connector, from OCPP 2.0.1 on that of the EVSE.
    """

    place: int
    id_tag: str
    meter_start: int
    samples: tuple[Sample, ...]
    reason: str

    @property
    def meter_stop(self) -> int:
        """The register at its end, in Wh."""
        return self.samples[-1].register


@dataclass(frozen=True)
class Session:
    """A session as the charge point saw it; registers in Wh."""

    client_id: str
    connector_id: int
    id_tag: str
    transaction_id: int | str
    meter_start: int
    meter_stop: int
    start_time: datetime
    stop_time: datetime
    evse_id: int | None = None

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
        sent_ns: requestId of each request it sent → when (Unix ns).
    """

    client_id: str
    frames: int = 0
    meter_values: int = 0
    status_changes: int = 0
    sessions: list[Session] = field(default_factory=list)
    sent_ns: dict[str, int] = field(default_factory=dict)


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


def plan(seed: int, client_id: str, places: int = 2) -> list[PlannedSession]:
    """One session for each place; the same seed and identity give the same plan."""
    # A demonstration's dice, not a secret.
    dice = random.Random(f"{seed}/{client_id}")  # noqa: S311
    return [_plan_session(dice, place) for place in range(1, places + 1)]


def _plan_session(dice: random.Random, place: int) -> PlannedSession:
    meter_start = register = dice.randrange(1_000, 500_000)
    power = dice.choice((3_700, 7_400, 11_000, 22_000))
    hours = SAMPLE_INTERVAL / timedelta(hours=1)
    samples = []
    for _ in range(dice.randint(3, 6)):
        drawn = round(power * dice.uniform(0.9, 1.0))
        register += round(drawn * hours)
        first, second, third = (round(dice.uniform(226.0, 234.0), 1) for _ in PHASES)
        samples.append(Sample(register, drawn, (first, second, third)))
    return PlannedSession(
        place=place,
        id_tag=f"TAG{dice.randrange(1_000, 10_000)}",
        meter_start=meter_start,
        samples=tuple(samples),
        reason=dice.choice(("Local", "EVDisconnected")),
    )


class CountingConnection:
    """The connection as the `ocpp` library uses it: records what passes, and when it was sent."""

    def __init__(self, websocket: ClientConnection, record: Record) -> None:
        self._websocket = websocket
        self._record = record

    async def recv(self) -> str:
        """The next message."""
        text = await self._websocket.recv(decode=True)
        self._record.frames += 1
        return text

    async def send(self, text: str) -> None:
        """Send a message."""
        kind, message_id, *_ = json.loads(text)
        if kind == _CALL:
            self._record.sent_ns[message_id] = time.time_ns()
        await self._websocket.send(text)
        self._record.frames += 1


class Transaction(ABC):
    """One charging session, told in a version's messages.

    Attributes:
        transaction_id: Known once it has started.
    """

    transaction_id: int | str

    @abstractmethod
    async def start(self) -> datetime:
        """Tell that it starts; its simulated time."""

    @abstractmethod
    async def update(self, sample: Sample) -> None:
        """Tell a meter value."""

    @abstractmethod
    async def end(self) -> datetime:
        """Tell that it ends; its simulated time."""


class SimulatedChargePoint(ABC):
    """One charge point; a version's own class says it in that version's messages.

    Attributes:
        library: The `ocpp` library's charge point of the version.
        heartbeat: Its message.
        free: The status of a place where nothing is plugged in.
        plugged_in: The status once a vehicle is, before it is authorized.
        record: What it did.
        clock: Gives the timestamps and the pace.
    """

    library: ClassVar[type[ChargePoint]]
    heartbeat: ClassVar[type[object]]
    free: ClassVar[str]
    plugged_in: ClassVar[str]

    def __init__(self, websocket: ClientConnection, record: Record, clock: CompressedClock) -> None:
        self.record = record
        self.clock = clock
        self._statuses: dict[int, str] = {}
        self._ocpp = self.library(
            record.client_id,
            CountingConnection(websocket, record),
            response_timeout=RESPONSE_TIMEOUT_S,
        )

    @abstractmethod
    def boot_notification(self) -> object:
        """Who it is."""

    @abstractmethod
    def authorize(self, id_tag: str) -> object:
        """The question whether a token may charge."""

    @abstractmethod
    def status_notification(self, place: int, status: str) -> object:
        """A place's status now."""

    @abstractmethod
    def transaction(self, session: PlannedSession) -> Transaction:
        """The session's messages."""

    @abstractmethod
    def identify(self, place: int) -> tuple[int, int | None]:
        """A place's connectorId and, where the version has them, evseId."""

    async def boot(self, places: Sequence[int]) -> None:
        """Say who it is, and that its places are free."""
        await self.call(self.boot_notification())
        for place in places:
            await self.report(place, self.free)

    async def charge(self, session: PlannedSession) -> None:
        """Run a session, from the plug to the free place."""
        await self.report(session.place, self.plugged_in)
        await self.call(self.authorize(session.id_tag))
        transaction = self.transaction(session)
        start_time = await transaction.start()
        for sample in session.samples:
            await self.clock.sleep(SAMPLE_INTERVAL)
            await transaction.update(sample)
        stop_time = await transaction.end()
        connector_id, evse_id = self.identify(session.place)
        self.record.sessions.append(
            Session(
                client_id=self.record.client_id,
                connector_id=connector_id,
                id_tag=session.id_tag,
                transaction_id=transaction.transaction_id,
                meter_start=session.meter_start,
                meter_stop=session.meter_stop,
                start_time=start_time,
                stop_time=stop_time,
                evse_id=evse_id,
            )
        )
        await self.report(session.place, self.free)

    async def listen(self) -> None:
        """Receive, until cancelled."""
        await self._ocpp.start()

    async def run(self, sessions: Sequence[PlannedSession]) -> None:
        """Boot, then run the sessions at the same time."""
        await self.boot([session.place for session in sessions])
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(self.charge(session))
        await self.call(self.heartbeat())

    async def call(self, request: object) -> Any:  # noqa: ANN401 - the library's, by request
        """Send a request; its result."""
        return await self._ocpp.call(request, suppress=False)

    async def report(self, place: int, status: str) -> None:
        """Send a status; it counts if it is another than the place's last one."""
        await self.call(self.status_notification(place, status))
        if self._statuses.get(place) != status:
            self._statuses[place] = status
            self.record.status_changes += 1

    def now(self) -> datetime:
        """Simulated time in whole seconds."""
        return self.clock.now().replace(microsecond=0)


def text_of(time: datetime) -> str:
    """As OCPP writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
