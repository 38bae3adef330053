"""OCPP 1.6 frames of a fleet of charge points, as the ingress puts them on the log.

Each charge point boots, then serves one car after the other on its two connectors. A session:

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
_SAMPLES: Final = 20
_INTERVAL_S: Final = 300
_CONNECTORS: Final = (1, 2)
_POWERS: Final = (3_700, 7_400, 11_000, 22_000)
_PHASES: Final = ("L1-N", "L2-N", "L3-N")


def fleet_frames(charge_points: int, seed: int = 1) -> Iterator[OcppFrame]:
    """The fleet's frames in the order of their receipt, without end."""
    return merge(*lives(charge_points, seed), key=lambda frame: frame.received_at_ns)


def lives(charge_points: int, seed: int = 1) -> list[Iterator[OcppFrame]]:
    """Each charge point's frames, without end."""
    dice = random.Random(seed)  # noqa: S311 - a load's dice, not a secret
    transaction_ids = count(1)
    return [
        _ChargePoint(f"CP{number:06}", dice, transaction_ids).frames()
        for number in range(charge_points)
    ]


class _ChargePoint:
    def __init__(self, client_id: str, dice: random.Random, transaction_ids: Iterator[int]) -> None:
        self._client_id = client_id
        self._dice = dice
        self._transaction_ids = transaction_ids
        self._second = dice.uniform(0, 2 * _INTERVAL_S * _SAMPLES)
        self._connection_id = f"{dice.getrandbits(64):016x}"
        self._message_ids = count(dice.randrange(10**6))

    def frames(self) -> Iterator[OcppFrame]:
        yield from self._exchange(
            "BootNotification",
            {"chargePointVendor": "Chargelog", "chargePointModel": "Bench"},
            {"status": "Accepted", "currentTime": self._now(), "interval": 600},
        )
        registers = {connector: self._dice.randrange(500_000) for connector in _CONNECTORS}
        for connector in (0, *_CONNECTORS):
            yield from self._status(connector, "Available")
        while True:
            for connector in _CONNECTORS:
                yield from self._session(connector, registers)

    def _session(self, connector: int, registers: dict[int, int]) -> Iterator[OcppFrame]:
        id_tag = f"TAG{self._dice.randrange(10_000):04}"
        yield from self._status(connector, "Preparing")
        yield from self._exchange(
            "Authorize", {"idTag": id_tag}, {"idTagInfo": {"status": "Accepted"}}
        )
        transaction_id = next(self._transaction_ids)
        yield from self._exchange(
            "StartTransaction",
            {
                "connectorId": connector,
                "idTag": id_tag,
                "meterStart": registers[connector],
                "timestamp": self._now(),
            },
            {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}},
        )
        yield from self._status(connector, "Charging")
        power = self._dice.choice(_POWERS)
        for number in range(_SAMPLES):
            self._second += _INTERVAL_S
            drawn = round(power * self._dice.uniform(0.9, 1.0))
            registers[connector] += drawn * _INTERVAL_S // 3600
            yield from self._meter_values(connector, transaction_id, registers[connector], drawn)
            if number % 2:
                yield from self._exchange("Heartbeat", {}, {"currentTime": self._now()})
        yield from self._status(connector, "SuspendedEV")
        yield from self._status(connector, "Finishing")
        yield from self._exchange(
            "StopTransaction",
            {
                "transactionId": transaction_id,
                "idTag": id_tag,
                "meterStop": registers[connector],
                "timestamp": self._now(),
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
                _sample(f"{self._dice.uniform(226, 234):.1f}", "Voltage", "V", phase=phase)
                for phase in _PHASES
            ),
        ]
        yield from self._exchange(
            "MeterValues",
            {
                "connectorId": connector,
                "transactionId": transaction_id,
                "meterValue": [{"timestamp": self._now(), "sampledValue": values}],
            },
            {},
        )

    def _status(self, connector: int, status: str) -> Iterator[OcppFrame]:
        yield from self._exchange(
            "StatusNotification",
            {
                "connectorId": connector,
                "errorCode": "NoError",
                "status": status,
                "timestamp": self._now(),
            },
            {},
        )

    def _exchange(
        self, action: str, request: dict[str, Any], answer: dict[str, Any]
    ) -> Iterator[OcppFrame]:
        message_id = f"{next(self._message_ids)}"
        self._second += self._dice.uniform(0.5, 5)
        at = _EPOCH_NS + int(self._second * _SECOND_NS)
        yield OcppFrame(
            client_id=self._client_id,
            received_at_ns=at,
            direction=INBOUND,
            protocol="ocpp1.6",
            kind="CALL",
            message_id=message_id,
            action=action,
            raw=orjson.dumps([2, message_id, action, request]),
            connection_id=self._connection_id,
        )
        yield OcppFrame(
            client_id=self._client_id,
            received_at_ns=at + self._dice.randrange(1_000_000, 20_000_000),
            direction=OUTBOUND,
            protocol="ocpp1.6",
            kind="CALLRESULT",
            message_id=message_id,
            action=action,
            raw=orjson.dumps([3, message_id, answer]),
            connection_id=self._connection_id,
        )

    def _now(self) -> str:
        moment = _EPOCH + timedelta(seconds=int(self._second))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sample(value: str, measurand: str, unit: str, **more: str) -> dict[str, str]:
    return {
        "value": value,
        "context": "Sample.Periodic",
        "measurand": measurand,
        "unit": unit,
        **more,
    }
