"""The session of the MQTT contract's example, and the payloads that it must give.

1,000 Wh to 25,000 Wh between 10:15:30 and 11:45:30 at 0.12 USD per kWh.
"""

import re
from typing import Any, NamedTuple

from mqtt_subscriber import Received

START = "2023-12-07T10:15:30Z"
READING = "2023-12-07T10:30:30Z"
STOP = "2023-12-07T11:45:30Z"


class Event(NamedTuple):
    """A business event as it must arrive: topic and payload."""

    topic: str
    payload: dict[str, Any]


def expected_events(client_id: str, transaction_id: int) -> list[Event]:
    """In order of arrival."""
    status = f"csms/connectors/{client_id}/status_changed"
    session = f"csms/transactions/{client_id}"
    return [
        Event(
            status,
            {
                "connectorId": 1,
                "status": "Available",
                "previousStatus": "Unknown",
                "transactionId": None,
                "errorCode": "NoError",
            },
        ),
        Event(
            f"{session}/started",
            {
                "transactionId": transaction_id,
                "connectorId": 1,
                "idTag": "user123",
                "meterStart": 1000,
                "startTime": START,
                "status": "started",
            },
        ),
        Event(
            status,
            {
                "connectorId": 1,
                "status": "Charging",
                "previousStatus": "Available",
                "transactionId": transaction_id,
                "errorCode": "NoError",
            },
        ),
        Event(
            f"{session}/meter_reading",
            {
                "transactionId": transaction_id,
                "connectorId": 1,
                "timestamp": READING,
                "measurands": {
                    "Energy.Active.Import.Register": {
                        "value": 12.5,
                        "unit": "kWh",
                        "context": "Sample.Periodic",
                    },
                    "Power.Active.Import": {
                        "value": 7.2,
                        "unit": "kW",
                        "context": "Sample.Periodic",
                    },
                },
                "currentPower": 7.2,
                "totalEnergy": 12.5,
            },
        ),
        Event(
            f"{session}/completed",
            {
                "transactionId": transaction_id,
                "connectorId": 1,
                "idTag": "user123",
                "meterStart": 1000,
                "meterStop": 25000,
                "startTime": START,
                "stopTime": STOP,
                "energyUsed": 24.0,
                "duration": 90.0,
                "reason": "Local",
                "status": "completed",
            },
        ),
        Event(
            f"csms/billing/{client_id}/session_cost",
            {
                "transactionId": transaction_id,
                "connectorId": 1,
                "idTag": "user123",
                "startTime": START,
                "endTime": STOP,
                "energyConsumed": 24.0,
                "duration": 90.0,
                "estimatedCost": 2.88,
                "currency": "USD",
                "pricingModel": "energy_based",
                "energyRate": 0.12,
                "timeRate": 0.0,
            },
        ),
    ]


def check_events(received: Received, client_id: str, transaction_id: int) -> None:
    """Every event, in order, with the contract's fields in the contract's order."""
    expected = expected_events(client_id, transaction_id)
    events = received.documents
    arrived = [
        Event(message.topic, event["payload"])
        for message, event in zip(received.messages, events, strict=True)
    ]
    assert arrived == expected
    times = []
    for (topic, payload), event in zip(expected, events, strict=True):
        assert list(event) == ["timestamp", "clientId", "eventType", "eventId", "payload"]
        assert list(event["payload"]) == list(payload)
        assert event["clientId"] == client_id
        assert event["eventType"] == topic.rpartition("/")[2]
        number = re.fullmatch(rf"{event['eventType']}_(\d{{19}})", event["eventId"])
        assert number is not None
        times.append(int(number[1]))
    assert times == sorted(set(times))
