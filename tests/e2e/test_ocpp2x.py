"""OCPP 2.0.1 and 2.1 from websocket to MQTT subscriber, every service a process of its own."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from business_events import business_events
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from devstack.simulator import CompressedClock, operate, plan
from devstack.stack import Stack

pytestmark = pytest.mark.e2e

START = "2023-12-07T10:15:30Z"
READING = "2023-12-07T10:30:30Z"
STOP = "2023-12-07T11:45:30Z"


async def test_a_session_of_the_ocpp_library_s_2_0_1_client_arrives(stack: Stack) -> None:
    client_id = "pipeline-201"
    [planned] = plan(1, client_id, places=1)
    clock = CompressedClock(datetime(2023, 12, 7, tzinfo=UTC), 12_000)
    with business_events(stack, client_id) as received:
        record = await operate(stack.ingress_url, client_id, [planned], clock, "ocpp2.0.1")
        readings = len(planned.samples) + 2
        await received.wait(3 + 1 + readings + 2)
    [session] = record.sessions
    arrived = received.documents
    assert [event["eventType"] for event in arrived] == [
        "status_changed",
        "status_changed",
        "started",
        *["meter_reading"] * readings,
        "completed",
        "session_cost",
        "status_changed",
    ]
    assert not [event for event in arrived if "anomalies" in event]
    assert {event["payload"]["evseId"] for event in arrived} == {1}
    assert arrived[1]["payload"]["status"] == "Occupied"
    started, completed, cost = (
        event["payload"] for event in arrived if event["eventType"] in
        {"started", "completed", "session_cost"}
    )  # fmt: skip
    assert started["transactionId"] == session.transaction_id
    assert started["idTag"] == planned.id_tag
    assert started["meterStart"] == planned.meter_start
    assert completed["meterStop"] == planned.meter_stop
    assert completed["energyUsed"] == session.energy_wh / 1000
    assert completed["reason"] == planned.reason
    assert cost["estimatedCost"] == pytest.approx(session.energy_wh * 0.12 / 1000, abs=0.005)
    powers = [
        event["payload"]["currentPower"]
        for event in arrived
        if event["eventType"] == "meter_reading"
    ]
    assert powers == [None, *(sample.power / 1000 for sample in planned.samples), None]


class ChargePoint:
    """Sends messages of one OCPP 2.1 transaction over connections of its own."""

    def __init__(self, stack: Stack, client_id: str) -> None:
        self._url = f"{stack.ingress_url}/{client_id}"
        self._number = 0

    async def send(self, *calls: tuple[str, dict[str, Any]]) -> None:
        """Over one connection; every call has to be answered with a result."""
        async with connect(self._url, subprotocols=[Subprotocol("ocpp2.1")]) as websocket:
            for action, payload in calls:
                self._number += 1
                message_id = f"m-{self._number}"
                await websocket.send(json.dumps([2, message_id, action, payload]))
                answer = json.loads(await asyncio.wait_for(websocket.recv(), 60))
                assert answer[:2] == [3, message_id], answer


def told(event_type: str, seq_no: int, at: str, wh: int, context: str) -> Any:  # noqa: ANN401 - a call
    payload: dict[str, Any] = {
        "eventType": event_type,
        "timestamp": at,
        "triggerReason": "Trigger",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "tx-21"},
        "meterValue": [{"timestamp": at, "sampledValue": [{"value": wh, "context": context}]}],
    }
    if event_type == "Started":
        payload["evse"] = {"id": 2, "connectorId": 1}
        payload["idToken"] = {"idToken": "user123", "type": "ISO14443"}
    return "TransactionEvent", payload


async def test_a_queue_sent_late_and_twice_over_2_1_is_billed_once(stack: Stack) -> None:
    client_id = "pipeline-21"
    charge_point = ChargePoint(stack, client_id)
    started = told("Started", 0, START, 1000, "Transaction.Begin")
    updated = told("Updated", 1, READING, 12500, "Sample.Periodic")
    ended = told("Ended", 2, STOP, 25000, "Transaction.End")
    with business_events(stack, client_id) as received:
        await charge_point.send(started, ended)
        # The answers were lost, for all the charge point knows; what it held back comes now.
        await charge_point.send(started, updated, ended)
        status = {"timestamp": STOP, "evseId": 2, "connectorId": 1, "connectorStatus": "Available"}
        # Behind the repetitions in the same partition: once it is here, nothing else comes.
        await charge_point.send(("StatusNotification", status))
        await received.wait(7)
    arrived = received.documents
    assert [(event["eventType"], event.get("anomalies")) for event in arrived] == [
        ("started", None),
        ("meter_reading", None),
        ("meter_reading", None),
        ("completed", ["seq_no_gap"]),
        ("session_cost", ["seq_no_gap"]),
        ("meter_reading", ["out_of_order"]),
        ("status_changed", None),
    ]
    assert arrived[3]["payload"] == {
        "transactionId": "tx-21",
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
        "evseId": 2,
    }
    assert arrived[4]["payload"]["estimatedCost"] == pytest.approx(2.88)
