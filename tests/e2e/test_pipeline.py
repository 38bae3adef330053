"""From websocket to MQTT subscriber, every service a process of its own."""

import asyncio
import json
from typing import Any

import pytest
from business_events import business_events
from mqtt_subscriber import subscriber
from payload_schemas import complaints
from reference_session import READING, START, STOP, check_events
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from devstack.stack import Stack

pytestmark = pytest.mark.e2e

OCPP16 = Subprotocol("ocpp1.6")
CALLS = [
    "BootNotification",
    "StatusNotification",
    "Authorize",
    "StartTransaction",
    "StatusNotification",
    "MeterValues",
    "StopTransaction",
]


def sample(value: str, measurand: str, unit: str) -> dict[str, str]:
    return {"value": value, "measurand": measurand, "unit": unit, "context": "Sample.Periodic"}


class ChargePoint:
    """Sends the frames of the reference session as they stand here, nothing else."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._number = 0

    async def exchange(self, text: str) -> list[Any]:
        await self._websocket.send(text)
        answer: list[Any] = json.loads(await asyncio.wait_for(self._websocket.recv(), 20))
        return answer

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message_id = f"m-{self._number}"
        answer = await self.exchange(json.dumps([2, message_id, action, payload]))
        assert answer[:2] == [3, message_id], answer
        result: dict[str, Any] = answer[2]
        return result

    async def charge(self) -> int:
        """The whole session; returns its transactionId."""
        boot = await self.call(
            "BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
        )
        assert boot["status"] == "Accepted"
        status = {"connectorId": 1, "errorCode": "NoError"}
        await self.call("StatusNotification", {**status, "status": "Available"})
        await self.call("Authorize", {"idTag": "user123"})
        started = await self.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "user123", "meterStart": 1000, "timestamp": START},
        )
        transaction_id: int = started["transactionId"]
        await self.call("StatusNotification", {**status, "status": "Charging"})
        values = [
            sample("12500", "Energy.Active.Import.Register", "Wh"),
            sample("7200", "Power.Active.Import", "W"),
        ]
        await self.call(
            "MeterValues",
            {
                "connectorId": 1,
                "transactionId": transaction_id,
                "meterValue": [{"timestamp": READING, "sampledValue": values}],
            },
        )
        await self.call("StopTransaction", self.stop(transaction_id))
        return transaction_id

    @staticmethod
    def stop(transaction_id: int) -> dict[str, Any]:
        return {
            "transactionId": transaction_id,
            "idTag": "user123",
            "meterStop": 25000,
            "timestamp": STOP,
            "reason": "Local",
        }


async def test_a_session_arrives_as_events_and_as_frames(stack: Stack) -> None:
    client_id = "pipeline-1"
    with business_events(stack, client_id, f"ocpp/+/{client_id}/+") as received:
        async with connect(f"{stack.ingress_url}/{client_id}", subprotocols=[OCPP16]) as websocket:
            transaction_id = await ChargePoint(websocket).charge()
        await received.wait(6 + 2 * len(CALLS))
    assert [complaints(each.topic, bytes(each.payload)) for each in received.messages] == [
        [] for _ in received.messages
    ]
    check_events(received.under("csms/"), client_id, transaction_id)

    frames = received.under("ocpp/").documents
    calls = [frame for frame in frames if frame["direction"] == "inbound"]
    assert [frame["messageType"] for frame in calls] == CALLS
    assert [m.topic for m in received.under("ocpp/messages/").messages] == [
        f"ocpp/messages/{client_id}/{action}" for action in CALLS
    ]
    assert list(calls[-1]) == [
        "timestamp", "clientId", "messageType", "requestId", "direction", "payload",
    ]  # fmt: skip
    assert calls[-1]["requestId"] == "m-7"
    assert calls[-1]["payload"] == ChargePoint.stop(transaction_id)
    answers = [frame for frame in frames if frame["direction"] == "outbound"]
    assert [m.topic for m in received.under("ocpp/responses/").messages] == [
        f"ocpp/responses/{client_id}/{action}" for action in CALLS
    ]
    assert answers[3]["messageType"] == "StartTransactionResponse"
    assert answers[3]["payload"]["transactionId"] == transaction_id


async def test_a_retried_stop_is_answered_and_gives_no_second_event(stack: Stack) -> None:
    client_id = "pipeline-retry"
    with business_events(stack, client_id) as received:
        async with connect(f"{stack.ingress_url}/{client_id}", subprotocols=[OCPP16]) as websocket:
            charge_point = ChargePoint(websocket)
            transaction_id = await charge_point.charge()
        # The answer was lost with the connection, for all the charge point knows.
        async with connect(f"{stack.ingress_url}/{client_id}", subprotocols=[OCPP16]) as websocket:
            charge_point = ChargePoint(websocket)
            await charge_point.call("StopTransaction", charge_point.stop(transaction_id))
            # Behind the retry in the same partition: once it is here, nothing else comes.
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"}
            await charge_point.call("StatusNotification", status)
        await received.wait(7)
    last = received.messages.pop()
    assert json.loads(last.payload)["payload"] == {
        "connectorId": 1,
        "status": "Finishing",
        "previousStatus": "Charging",
        "transactionId": None,
        "errorCode": "NoError",
    }
    check_events(received, client_id, transaction_id)


async def test_what_is_no_ocpp_message_is_answered_and_shown(stack: Stack) -> None:
    client_id = "pipeline/bad 1"
    escaped = "pipeline%2Fbad 1"
    topics = (f"ocpp/invalid/{escaped}", f"ocpp/+/{escaped}/+")
    with subscriber(stack.mqtt.host, stack.mqtt.port, *topics) as received:
        url = f"{stack.ingress_url}/pipeline%2Fbad%201"
        async with connect(url, subprotocols=[OCPP16]) as websocket:
            answer = await ChargePoint(websocket).exchange('[2,"x-1","Heartbeat"]')
        await received.wait(2)
    assert answer[:3] == [4, "x-1", "FormationViolation"]
    invalid = received.under("ocpp/invalid/").documents[0]
    assert invalid["clientId"] == client_id
    assert invalid["raw"] == '[2,"x-1","Heartbeat"]'
    assert "3 elements" in invalid["violation"]
    (error,) = received.under("ocpp/responses/").documents
    assert error["errorCode"] == "FormationViolation"
    assert error["requestId"] == "x-1"
