"""OCPP 2.0.1 frames of a fleet of charge points.

A session on one of the two EVSEs, with the measurands of `bench.charging`:

    StatusNotification   2   Occupied, Available
    Authorize            1
    TransactionEvent    22   Started, 20 Updated every 5 minutes, Ended
    Heartbeat           10   every 10 minutes

Each call is followed by its result, so a session is 70 frames, of which 24 mean something to the
business, and the answer to the Started, which might.
"""

from collections.abc import Iterator
from typing import Any, Final

from bench.charging import INTERVAL_S, PHASES, PLACES, POWERS, SAMPLES, ChargePoint
from schemas.frames import OcppFrame

_CONNECTOR: Final = 1


class ChargePoint201(ChargePoint):
    """OCPP 2.0.1."""

    protocol = "ocpp2.0.1"

    def frames(self) -> Iterator[OcppFrame]:
        """Its frames, without end."""
        yield from self.exchange(
            "BootNotification",
            {
                "reason": "PowerUp",
                "chargingStation": {"vendorName": "Chargelog", "model": "Bench"},
            },
            {"status": "Accepted", "currentTime": self.now(), "interval": 600},
        )
        registers = {evse: self.dice.randrange(500_000) for evse in PLACES}
        for evse in PLACES:
            yield from self._status(evse, "Available")
        while True:
            for evse in PLACES:
                yield from self._session(evse, registers)

    def _session(self, evse: int, registers: dict[int, int]) -> Iterator[OcppFrame]:
        token = {"idToken": f"TAG{self.dice.randrange(10_000):04}", "type": "ISO14443"}
        accepted = {"idTokenInfo": {"status": "Accepted"}}
        yield from self._status(evse, "Occupied")
        yield from self.exchange("Authorize", {"idToken": token}, accepted)
        transaction = {"transactionId": f"{self.dice.getrandbits(128):032x}"}
        begin = [_register(registers[evse], "Transaction.Begin")]
        place = {"id": evse, "connectorId": _CONNECTOR}
        yield from self._event(
            "Started", 0, transaction, begin, accepted, evse=place, idToken=token
        )
        power = self.dice.choice(POWERS)
        for number in range(SAMPLES):
            self.second += INTERVAL_S
            drawn = round(power * self.dice.uniform(0.9, 1.0))
            registers[evse] += drawn * INTERVAL_S // 3600
            values = [
                _register(registers[evse], "Sample.Periodic"),
                _sample(drawn, "Power.Active.Import", "W"),
                *(
                    _sample(round(self.dice.uniform(226, 234), 1), "Voltage", "V", phase=phase)
                    for phase in PHASES
                ),
            ]
            yield from self._event("Updated", number + 1, transaction, values, {})
            if number % 2:
                yield from self.exchange("Heartbeat", {}, {"currentTime": self.now()})
        end = [_register(registers[evse], "Transaction.End")]
        over = {**transaction, "stoppedReason": "EVDisconnected"}
        yield from self._event("Ended", SAMPLES + 1, over, end, {})
        yield from self._status(evse, "Available")

    def _event(  # a message has that many parts
        self,
        event_type: str,
        seq_no: int,
        info: dict[str, str],
        values: list[dict[str, Any]],
        answer: dict[str, Any],
        **more: object,
    ) -> Iterator[OcppFrame]:
        at = self.now()
        request = {
            "eventType": event_type,
            "timestamp": at,
            "triggerReason": "MeterValuePeriodic",
            "seqNo": seq_no,
            "transactionInfo": info,
            "meterValue": [{"timestamp": at, "sampledValue": values}],
            **more,
        }
        yield from self.exchange("TransactionEvent", request, answer)

    def _status(self, evse: int, status: str) -> Iterator[OcppFrame]:
        yield from self.exchange(
            "StatusNotification",
            {
                "timestamp": self.now(),
                "connectorStatus": status,
                "evseId": evse,
                "connectorId": _CONNECTOR,
            },
            {},
        )


def _register(wh: int, context: str) -> dict[str, Any]:
    return _sample(wh, "Energy.Active.Import.Register", "Wh", context=context)


def _sample(value: float, measurand: str, unit: str, **more: str) -> dict[str, Any]:
    return {"value": value, "measurand": measurand, "unitOfMeasure": {"unit": unit}, **more}
