"""A charge point's OCPP 2.0.1 or 2.1 frames, and a reducer to put them through."""

from typing import Any

from frames16 import REGISTER, Story
from msgspec.structs import replace

from processor.tariff import Tariffs
from schemas.frames import OcppFrame

TX = "57da73c2-49ee-4abc-be95-cb12f783cc91"
EVSE = {"id": 1, "connectorId": 1}
TOKEN = {"idToken": "user123", "type": "ISO14443"}
START = "2023-12-07T10:15:30Z"
READING = "2023-12-07T10:30:30Z"
STOP = "2023-12-07T11:45:30Z"


def sample(value: object, measurand: str | None = None, **fields: object) -> dict[str, Any]:
    """A sampledValue; `unit` and `multiplier` become its unitOfMeasure."""
    measure = {name: fields.pop(name) for name in ("unit", "multiplier") if name in fields}
    return {
        "value": value,
        **({} if measurand is None else {"measurand": measurand}),
        **({"unitOfMeasure": measure} if measure else {}),
        **fields,
    }


def register(wh: object, context: str | None = None, at: object = READING) -> dict[str, Any]:
    """A meterValue element with the energy register alone."""
    fields = {} if context is None else {"context": context}
    return {"timestamp": at, "sampledValue": [sample(wh, REGISTER, **fields)]}


class Story2x(Story):
    """As `Story`; `tell` and its short forms make TransactionEvents.

    Attributes:
        protocol: The subprotocol of the frames.
    """

    def __init__(self, tariffs: Tariffs | None = None, protocol: str = "ocpp2.0.1") -> None:
        super().__init__(tariffs)
        self.protocol = protocol

    def put(self, new: OcppFrame) -> list[dict[str, Any]]:
        """Reduce a frame; the events it made, as on MQTT."""
        return super().put(replace(new, protocol=self.protocol))

    def tell(  # noqa: PLR0913  # a message has that many parts
        self,
        event_type: str,
        seq_no: object,
        *elements: dict[str, Any],
        tx: object = TX,
        at: object = READING,
        trigger: str = "MeterValuePeriodic",
        info: dict[str, Any] | None = None,
        message_id: str | None = None,
        violation: str | None = None,
        **fields: object,
    ) -> list[dict[str, Any]]:
        """A TransactionEvent."""
        payload = {
            "eventType": event_type,
            "timestamp": at,
            "triggerReason": trigger,
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": tx, **(info or {})},
            **({"meterValue": list(elements)} if elements else {}),
            **fields,
        }
        return self.call("TransactionEvent", payload, message_id=message_id, violation=violation)

    def started(
        self,
        seq_no: object = 0,
        wh: object = 1000,
        at: object = START,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> list[dict[str, Any]]:
        """A Started on EVSE 1 with the register at its begin."""
        elements = [] if wh is None else [register(wh, "Transaction.Begin", at)]
        fields = {"evse": EVSE, "idToken": TOKEN, **fields}
        return self.tell("Started", seq_no, *elements, at=at, trigger="Authorized", **fields)

    def updated(
        self,
        seq_no: object = 1,
        wh: object = 5000,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> list[dict[str, Any]]:
        """An Updated with the register."""
        at = fields.get("at", READING)
        elements = [] if wh is None else [register(wh, at=at)]
        return self.tell("Updated", seq_no, *elements, **fields)

    def ended(
        self,
        seq_no: object = 2,
        wh: object = 25000,
        at: object = STOP,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> list[dict[str, Any]]:
        """An Ended with the register at its end."""
        elements = [] if wh is None else [register(wh, "Transaction.End", at)]
        return self.tell("Ended", seq_no, *elements, at=at, trigger="EVDeparted", **fields)

    def connector(self, status: object, evse: object = 1, connector: object = 1) -> Any:  # noqa: ANN401 - JSON
        """A StatusNotification."""
        payload = {
            "timestamp": READING,
            "connectorStatus": status,
            "evseId": evse,
            "connectorId": connector,
        }
        return self.call("StatusNotification", payload)


def the(events: list[dict[str, Any]], event_type: str) -> dict[str, Any]:
    """The one event of its type."""
    [event] = [event for event in events if event["eventType"] == event_type]
    return event
