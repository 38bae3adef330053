"""Writes `depot.log`: a day of a bus depot's charge points, as SteVe logs it.

    python examples/depot_day.py            # writes examples/depot.log anew, the same bytes

Five charge points with two connectors each. Buses come and go, some stay over midnight; the log's
times name no zone (it is Europe/Berlin). Not all goes well: the Stop of one bus never comes, one
Stop is sent twice, one line was cut when the disk was full.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson

LOG: Final = Path(__file__).with_name("depot.log")
_ZONE: Final = ZoneInfo("Europe/Berlin")
_NOON: Final = datetime(2026, 3, 2, 12, tzinfo=_ZONE)
_LOGGER: Final = "de.rwth.idsg.steve.ocpp.ws.WebSocketLogger"
_SAMPLE: Final = timedelta(minutes=30)
_CHARGE_POINTS: Final = ("depot-1", "depot-2", "depot-3", "depot-4", "depot-5")
_LOST_STOP: Final = ("depot-2", 1)
_REPEATED_STOP: Final = ("depot-4", 2)
_CUT: Final = ("depot-5", 1)


class Line(NamedTuple):
    """A message, and when it was logged."""

    at: datetime
    charge_point: str
    sent: bool
    array: list[Any]

    @property
    def text(self) -> str:
        """As SteVe writes it."""
        local = self.at.astimezone(_ZONE)
        way = "Sending" if self.sent else "Received"
        return (
            f"[INFO ] {local:%Y-%m-%d %H:%M:%S},{local.microsecond // 1000:03} {_LOGGER} "
            f"(qtp-{40 + len(self.charge_point)}) - [chargeBoxId={self.charge_point}, "
            f"sessionId=5863aadf-4995] {way}: {orjson.dumps(self.array).decode()}"
        )


class _Connector:
    """One connector's day."""

    def __init__(
        self, charge_point: str, number: int, dice: random.Random, ids: Iterator[int]
    ) -> None:
        self._charge_point = charge_point
        self._number = number
        self._dice = dice
        self._ids = ids
        self._messages = count(dice.randrange(10_000, 90_000))
        self._at = _NOON + timedelta(minutes=dice.uniform(0, 20))
        self._register = dice.randrange(100_000, 9_000_000)

    def lines(self) -> Iterator[Line]:
        yield from self._status("Available")
        for hours, kwh in ((1, 40), (6, 180), (8, 240)):
            self._at += timedelta(hours=self._dice.uniform(0.3, 1) * hours)
            yield from self._session(kwh * self._dice.uniform(0.5, 1.0))

    def _session(self, kwh: float) -> Iterator[Line]:
        here = (self._charge_point, self._number)
        tag, transaction = f"BUS{self._dice.randrange(1, 60):03}", next(self._ids)
        yield from self._status("Preparing")
        yield from self._call(
            "StartTransaction",
            {
                "connectorId": self._number,
                "idTag": tag,
                "meterStart": self._register,
                "timestamp": self._now(),
            },
            {"transactionId": transaction, "idTagInfo": {"status": "Accepted"}},
        )
        yield from self._status("Charging")
        power = self._dice.choice((50_000, 75_000, 150_000))
        left = int(kwh * 1000)
        while left > 0:
            self._at += _SAMPLE
            used = min(left, int(power * self._dice.uniform(0.9, 1.0) / 2))
            left -= used
            self._register += used
            yield from self._values(transaction, used * 2)
        if here == _LOST_STOP and kwh < 40:  # noqa: PLR2004 - its first session
            self._at += timedelta(hours=1)
            yield from self._status("Available")
            return
        stop = {
            "transactionId": transaction,
            "idTag": tag,
            "meterStop": self._register,
            "timestamp": self._now(),
        }
        yield from self._call("StopTransaction", stop, {"idTagInfo": {"status": "Accepted"}})
        if here == _REPEATED_STOP:
            yield from self._call("StopTransaction", stop, {"idTagInfo": {"status": "Accepted"}})
        yield from self._status("Available")

    def _values(self, transaction: int, power: int) -> Iterator[Line]:
        sample = [
            {"value": str(self._register), "measurand": "Energy.Active.Import.Register",
             "unit": "Wh"},
            {"value": str(power), "measurand": "Power.Active.Import", "unit": "W"},
            {"value": str(self._dice.randrange(20, 99)), "measurand": "SoC", "unit": "Percent"},
        ]  # fmt: skip
        yield from self._call(
            "MeterValues",
            {
                "connectorId": self._number,
                "transactionId": transaction,
                "meterValue": [{"timestamp": self._now(), "sampledValue": sample}],
            },
            {},
        )

    def _status(self, status: str) -> Iterator[Line]:
        yield from self._call(
            "StatusNotification",
            {
                "connectorId": self._number,
                "errorCode": "NoError",
                "status": status,
                "timestamp": self._now(),
            },
            {},
        )

    def _call(self, action: str, request: dict[str, Any], answer: dict[str, Any]) -> Iterator[Line]:
        self._at += timedelta(seconds=self._dice.uniform(1, 9))
        message_id = f"{self._number}-{next(self._messages)}"
        yield Line(self._at, self._charge_point, False, [2, message_id, action, request])
        self._at += timedelta(milliseconds=self._dice.randrange(4, 30))
        yield Line(self._at, self._charge_point, True, [3, message_id, answer])

    def _now(self) -> str:
        return self._at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seed: int = 1) -> str:
    """The log's text; the same seed gives the same."""
    dice, ids = random.Random(seed), count(8_101)  # noqa: S311 - a sample's dice, not a secret
    lives = [
        _Connector(name, number, dice, ids).lines() for name in _CHARGE_POINTS for number in (1, 2)
    ]
    lines = []
    cut = False
    for line in merge(*lives, key=lambda line: line.at):
        text = line.text
        if (
            not cut
            and (line.charge_point, line.array[1][0]) == (_CUT[0], str(_CUT[1]))
            and ('"MeterValues"' in text)
        ):
            text, cut = text[: len(text) // 2], True
        lines.append(text)
    lines.insert(
        len(lines) // 2,
        "[INFO ] 2026-03-02 23:59:59,999 de.rwth.idsg.steve.service.MailService (main) - No mail",
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    LOG.write_text(day(), encoding="utf-8")
