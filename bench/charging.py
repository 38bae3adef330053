"""Frames of a fleet of charge points, as the ingress puts them on the log.

Each charge point boots, then serves one car after the other on its two connectors. A session of
OCPP 1.6 (that of 2.0.1 is in `bench.charging201`):

    StatusNotification   5   Preparing, Charging, SuspendedEV, Finishing, Available
    Authorize            1
    StartTransaction     1
    MeterValues         20   every 5 minutes: register, power, three voltages
    StopTransaction      1
    Heartbeat           10   every 10 minutes

Each call is followed by its result, so a session is 76 frames, of which 28 mean something to the
business. The same seed and number of charge points give the same frames.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import count
from typing import Any, Final

import orjson

from schemas.frames import INBOUND, OUTBOUND, OcppFrame

SESSION_FRAMES: Final = 76
"""Frames of one session."""
_EPOCH_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000
SAMPLES: Final = 20
INTERVAL_S: Final = 300
PLACES: Final = (1, 2)
POWERS: Final = (3_700, 7_400, 11_000, 22_000)
PHASES: Final = ("L1-N", "L2-N", "L3-N")


class ChargePoint(ABC):
    """A charge point's life; a version's own class says it in that version's messages.

    Attributes:
        protocol: The subprotocol.
        dice: The fleet's.
        transaction_ids: The fleet's.
        second: Now.
    """

    protocol: str

    def __init__(self, client_id: str, dice: random.Random, transaction_ids: Iterator[int]) -> None:
        self._client_id = client_id
        self.dice = dice
        self.transaction_ids = transaction_ids
        self.second = dice.uniform(0, 2 * INTERVAL_S * SAMPLES)
        self._connection_id = f"{dice.getrandbits(64):016x}"
        self._message_ids = count(dice.randrange(10**6))

    @abstractmethod
    def frames(self) -> Iterator[OcppFrame]:
        """Its frames, without end."""

    def exchange(
        self, action: str, request: dict[str, Any], answer: dict[str, Any]
    ) -> Iterator[OcppFrame]:
        """A call and its result, some seconds after the last one."""
        message_id = f"{next(self._message_ids)}"
        self.second += self.dice.uniform(0.5, 5)
        at = _EPOCH_NS + int(self.second * _SECOND_NS)
        yield OcppFrame(
            client_id=self._client_id,
            received_at_ns=at,
            direction=INBOUND,
            protocol=self.protocol,
            kind="CALL",
            message_id=message_id,
            action=action,
            raw=orjson.dumps([2, message_id, action, request]),
            connection_id=self._connection_id,
        )
        yield OcppFrame(
            client_id=self._client_id,
            received_at_ns=at + self.dice.randrange(1_000_000, 20_000_000),
            direction=OUTBOUND,
            protocol=self.protocol,
            kind="CALLRESULT",
            message_id=message_id,
            action=action,
            raw=orjson.dumps([3, message_id, answer]),
            connection_id=self._connection_id,
        )

    def now(self) -> str:
        """As OCPP writes it."""
        moment = _EPOCH + timedelta(seconds=int(self.second))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class ChargePoint16(ChargePoint):
    """OCPP 1.6."""

    protocol = "ocpp1.6"

    def frames(self) -> Iterator[OcppFrame]:
        """Its frames, without end."""
        yield from self.exchange(
            "BootNotification",
            {"chargePointVendor": "Chargelog", "chargePointModel": "Bench"},
            {"status": "Accepted", "currentTime": self.now(), "interval": 600},
        )
        registers = {connector: self.dice.randrange(500_000) for connector in PLACES}
        for connector in (0, *PLACES):
            yield from self._status(connector, "Available")
        while True:
            for connector in PLACES:
                yield from self._session(connector, registers)

    def _session(self, connector: int, registers: dict[int, int]) -> Iterator[OcppFrame]:
        id_tag = f"TAG{self.dice.randrange(10_000):04}"
        yield from self._status(connector, "Preparing")
        yield from self.exchange(
            "Authorize", {"idTag": id_tag}, {"idTagInfo": {"status": "Accepted"}}
        )
        transaction_id = next(self.transaction_ids)
        yield from self.exchange(
            "StartTransaction",
            {
                "connectorId": connector,
                "idTag": id_tag,
                "meterStart": registers[connector],
                "timestamp": self.now(),
            },
            {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}},
        )
        yield from self._status(connector, "Charging")
        power = self.dice.choice(POWERS)
        for number in range(SAMPLES):
            self.second += INTERVAL_S
            drawn = round(power * self.dice.uniform(0.9, 1.0))
            registers[connector] += drawn * INTERVAL_S // 3600
            yield from self._meter_values(connector, transaction_id, registers[connector], drawn)
            if number % 2:
                yield from self.exchange("Heartbeat", {}, {"currentTime": self.now()})
        yield from self._status(connector, "SuspendedEV")
        yield from self._status(connector, "Finishing")
        yield from self.exchange(
            "StopTransaction",
            {
                "transactionId": transaction_id,
                "idTag": id_tag,
                "meterStop": registers[connector],
                "timestamp": self.now(),
                "reason": "EVDisconnected",
            },
            {"idTagInfo": {"status": "Accepted"}},
        )
        yield from self._status(connector, "Available")

    def _meter_values(
        self, connector: int, transaction_id: int, register: int, power: int
    ) -> Iterator[OcppFrame]:
        values = [
            _sample(str(register), "Energy.Active.Import.Register", "Wh"),
            _sample(str(power), "Power.Active.Import", "W"),
            *(
                _sample(f"{self.dice.uniform(226, 234):.1f}", "Voltage", "V", phase=phase)
                for phase in PHASES
            ),
        ]
        yield from self.exchange(
            "MeterValues",
            {
                "connectorId": connector,
                "transactionId": transaction_id,
                "meterValue": [{"timestamp": self.now(), "sampledValue": values}],
            },
            {},
        )

    def _status(self, connector: int, status: str) -> Iterator[OcppFrame]:
        yield from self.exchange(
            "StatusNotification",
            {
                "connectorId": connector,
                "errorCode": "NoError",
                "status": status,
                "timestamp": self.now(),
            },
            {},
        )


def fleet_frames(
    charge_points: int, seed: int = 1, kind: type[ChargePoint] = ChargePoint16
) -> Iterator[OcppFrame]:
    """The fleet's frames in the order of their receipt, without end."""
    return merge(*lives(charge_points, seed, kind), key=lambda frame: frame.received_at_ns)


def lives(
    charge_points: int, seed: int = 1, kind: type[ChargePoint] = ChargePoint16
) -> list[Iterator[OcppFrame]]:
    """Each charge point's frames, without end."""
    dice = random.Random(seed)  # noqa: S311 - a load's dice, not a secret
    transaction_ids = count(1)
    return [
        kind(f"CP{number:06}", dice, transaction_ids).frames() for number in range(charge_points)
    ]


def _sample(value: str, measurand: str, unit: str, **more: str) -> dict[str, str]:
    return {
        "value": value,
        "context": "Sample.Periodic",
        "measurand": measurand,
        "unit": unit,
        **more,
    }
