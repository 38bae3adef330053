"""A charge point's OCPP 1.6 frames, and a reducer to put them through."""

from typing import Any

import orjson

from processor.reducer import reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs
from schemas import timestamps
from schemas.event_json import to_json
from schemas.events import BusinessEvent
from schemas.frames import Direction, Kind, OcppFrame

CLIENT = "charge-point-001"
START_NS = 1_701_944_130_000_000_000
"""2023-12-07T10:15:30Z."""
SECOND_NS = 1_000_000_000
REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"


def frame(  # noqa: PLR0913  # one argument for each field of a frame
    raw: bytes | str,
    *,
    kind: Kind = "CALL",
    action: str | None = None,
    message_id: str | None = None,
    direction: Direction = "inbound",
    at: int = START_NS,
    violation: str | None = None,
    client_id: str = CLIENT,
    protocol: str = "ocpp1.6",
) -> OcppFrame:
    """A frame as the log has it."""
    return OcppFrame(
        client_id=client_id,
        received_at_ns=at,
        direction=direction,
        protocol=protocol,
        kind=kind,
        message_id=message_id,
        action=action,
        raw=raw if isinstance(raw, bytes) else raw.encode(),
        violation=violation,
        connection_id="c1",
    )


def sample(value: object, measurand: str | None = None, **fields: object) -> dict[str, Any]:
    """A sampledValue."""
    named = {} if measurand is None else {"measurand": measurand}
    return {"value": value, **named, **fields}


def element(*samples: dict[str, Any], timestamp: object = "2023-12-07T10:30:30Z") -> dict[str, Any]:
    """A meterValue element."""
    return {"timestamp": timestamp, "sampledValue": list(samples)}


class Story:
    """Frames of one charge point, a second apart, put through the reducer one by one.

    Attributes:
        rows: The reducer's state.
        frames: The frames so far.
        events: The events so far.
        at: The next frame's receivedAtNs.
    """

    def __init__(self, tariffs: Tariffs | None = None) -> None:
        self.rows = MemoryRows()
        self.tariffs = tariffs or Tariffs()
        self.frames: list[OcppFrame] = []
        self.events: list[BusinessEvent] = []
        self.at = START_NS
        self._count = 0

    def put(self, new: OcppFrame) -> list[dict[str, Any]]:
        """Reduce a frame; the events it made, as on MQTT."""
        self.frames.append(new)
        self.at = new.received_at_ns + SECOND_NS
        events = reduce(new, self.rows, self.tariffs)
        self.events += events
        return [orjson.loads(to_json(event)) for event in events]

    def wait_until(self, time: str) -> None:
        """Let the next frame be received at that time."""
        self.at = timestamps.parse(time).micros * 1000

    def call(
        self,
        action: str,
        payload: object,
        *,
        message_id: str | None = None,
        violation: str | None = None,
        direction: Direction = "inbound",
    ) -> list[dict[str, Any]]:
        """A CALL."""
        self._count += 1
        message_id = message_id or f"m{self._count}"
        return self.put(
            frame(
                orjson.dumps([2, message_id, action, payload]),
                action=action,
                message_id=message_id,
                at=self.at,
                violation=violation,
                direction=direction,
            )
        )

    def answer(
        self, payload: object, message_id: str, action: str | None = "StartTransaction"
    ) -> list[dict[str, Any]]:
        """The central system's CALLRESULT."""
        return self.put(
            frame(
                orjson.dumps([3, message_id, payload]),
                kind="CALLRESULT",
                action=action,
                message_id=message_id,
                direction="outbound",
                at=self.at,
            )
        )

    def refuse(
        self, message_id: str, action: str | None = "StartTransaction"
    ) -> list[dict[str, Any]]:
        """The central system's CALLERROR."""
        return self.put(
            frame(
                orjson.dumps([4, message_id, "InternalError", "", {}]),
                kind="CALLERROR",
                action=action,
                message_id=message_id,
                direction="outbound",
                at=self.at,
            )
        )

    def line(
        self, raw: str, *, direction: Direction = "inbound", at: int | None = None
    ) -> list[dict[str, Any]]:
        """A frame from a log, as text; answers find their action by messageId."""
        array = orjson.loads(raw)
        kind: Kind = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR"}[array[0]]  # type: ignore[assignment]  # the values are kinds
        action = array[2] if kind == "CALL" else self._action_of(array[1])
        return self.put(
            frame(
                raw,
                kind=kind,
                action=action,
                message_id=array[1],
                direction=direction,
                at=self.at if at is None else at,
            )
        )

    def status(
        self, status: str, connector: object = 1, error: object = "NoError"
    ) -> list[dict[str, Any]]:
        """A StatusNotification."""
        return self.call(
            "StatusNotification",
            {"connectorId": connector, "status": status, "errorCode": error},
        )

    def start(
        self,
        transaction_id: object = 123456,
        *,
        message_id: str | None = None,
        status: str = "Accepted",
        **fields: object,
    ) -> list[dict[str, Any]]:
        """A StartTransaction and its answer; the events of both."""
        self._count += 1
        message_id = message_id or f"s{self._count}"
        payload = {
            "connectorId": 1,
            "idTag": "user123",
            "meterStart": 1000,
            "timestamp": "2023-12-07T10:15:30Z",
            **fields,
        }
        return self.call("StartTransaction", payload, message_id=message_id) + self.answer(
            {"transactionId": transaction_id, "idTagInfo": {"status": status}}, message_id
        )

    def stop(
        self, transaction_id: object = 123456, *, violation: str | None = None, **fields: object
    ) -> list[dict[str, Any]]:
        """A StopTransaction."""
        payload = {
            "transactionId": transaction_id,
            "meterStop": 25000,
            "timestamp": "2023-12-07T11:45:30Z",
            **fields,
        }
        return self.call("StopTransaction", payload, violation=violation)

    def meter(
        self, *elements: dict[str, Any], connector: object = 1, **fields: object
    ) -> list[dict[str, Any]]:
        """A MeterValues."""
        return self.call(
            "MeterValues", {"connectorId": connector, "meterValue": list(elements), **fields}
        )

    def values(self, *samples: dict[str, Any], **fields: object) -> dict[str, Any]:
        """The one meter_reading of a MeterValues with one element."""
        [event] = self.meter(element(*samples), **fields)
        return event

    def _action_of(self, message_id: str) -> str | None:
        for old in reversed(self.frames):
            if old.kind == "CALL" and old.message_id == message_id:
                return old.action
        return None


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The events' types."""
    return [event["eventType"] for event in events]
