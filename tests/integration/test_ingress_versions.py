"""OCPP 2.0.1 and 2.1 over a real socket, with the `ocpp` package as the charging station."""

import asyncio
import json
from typing import Any

import ocpp.v21
import ocpp.v201
import pytest
from ingress_kit import ask, call, charge_point, frames_on_log, ingress_settings
from schema_examples import example, request_schema
from websockets.typing import Subprotocol

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from ingress.service import Ingress

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka

OFFERS = [Subprotocol("ocpp2.1"), Subprotocol("ocpp2.0.1"), Subprotocol("ocpp1.6")]


@pytest.mark.parametrize(("package", "protocol"), [(ocpp.v201, "ocpp2.0.1"), (ocpp.v21, "ocpp2.1")])
async def test_a_session_with_the_ocpp_library(
    package: Any,  # noqa: ANN401 - the package ships no types
    protocol: str,
    kafka: Kafka,
    topic_prefix: str,
) -> None:
    request, types = package.call, package.datatypes
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CS1", OFFERS[OFFERS.index(Subprotocol(protocol)) :]) as websocket,
    ):
        assert websocket.subprotocol == protocol
        # suppress=False: the library raises on a CALLERROR; it also validates every answer.
        station = package.ChargePoint("CS1", websocket, response_timeout=30)
        listening = asyncio.create_task(station.start())
        boot = await station.call(
            request.BootNotification(
                charging_station=types.ChargingStationType(vendor_name="Vendor", model="Model"),
                reason="PowerUp",
            ),
            suppress=False,
        )
        assert (boot.status, boot.interval) == ("Accepted", 300)
        await station.call(request.Heartbeat(), suppress=False)
        await station.call(
            request.StatusNotification(
                timestamp="2023-12-07T10:15:30Z",
                connector_status="Occupied",
                evse_id=1,
                connector_id=1,
            ),
            suppress=False,
        )
        token = types.IdTokenType(id_token="04A2B3C4", type="ISO14443")
        authorized = await station.call(request.Authorize(token), suppress=False)
        assert authorized.id_token_info == {"status": "Accepted"}
        for number, kind in enumerate(("Started", "Updated", "Ended")):
            event = await station.call(
                request.TransactionEvent(
                    event_type=kind,
                    timestamp="2023-12-07T10:15:30Z",
                    trigger_reason="Authorized",
                    seq_no=number,
                    transaction_info=types.TransactionType(transaction_id="t-1"),
                    id_token=token if kind == "Started" else None,
                ),
                suppress=False,
            )
            assert event.id_token_info == ({"status": "Accepted"} if kind == "Started" else None)
        listening.cancel()
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    actions = ["BootNotification", "Heartbeat", "StatusNotification", "Authorize",
               "TransactionEvent", "TransactionEvent", "TransactionEvent"]  # fmt: skip
    assert [(f.action, f.kind) for f in frames] == [
        (action, kind) for action in actions for kind in ("CALL", "CALLRESULT")
    ]
    assert {frame.protocol for frame in frames} == {protocol}
    assert {frame.violation for frame in frames} == {None}


async def test_send_is_kept_and_not_answered_and_errors_are_those_of_the_version(
    kafka: Kafka, topic_prefix: str
) -> None:
    payload = example(request_schema("ocpp2.1", "NotifyPeriodicEventStream"), full=True)
    send = json.dumps([6, "s-1", "NotifyPeriodicEventStream", payload]).encode()
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CS1", OFFERS) as websocket,
    ):
        await websocket.send(send, text=True)
        # The next answer is this CALL's: the SEND got none.
        assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
        objection = b'[5,"1","FormatViolation","no time",{}]'
        await websocket.send(objection, text=True)
        unreadable = await ask(websocket, b"no JSON")
        assert json.loads(unreadable)[:3] == [4, "-1", "RpcFrameworkError"]
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [(f.kind, f.action) for f in frames] == [
        ("SEND", "NotifyPeriodicEventStream"),
        ("CALL", "Heartbeat"),
        ("CALLRESULT", "Heartbeat"),
        ("CALLRESULTERROR", "Heartbeat"),
        ("INVALID", None),
        ("CALLERROR", None),
    ]
    assert (frames[0].raw, frames[3].raw, frames[5].raw) == (send, objection, unreadable)
    assert [frame.violation for frame in frames[:4]] == [None] * 4
