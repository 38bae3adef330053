"""Rules of OCPP-J that show only on a real socket (docs/ocppj-conformance.md)."""

import asyncio
import json

import pytest
from ingress_kit import ask, call, charge_point, frames_on_log, ingress_settings
from structlog.testing import capture_logs
from websockets.typing import Subprotocol

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from ingress.commands import call as call_command
from ingress.service import Ingress

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka

OCPP21 = [Subprotocol("ocpp2.1")]


async def test_calls_sent_ahead_of_their_answers_are_answered_in_order(
    kafka: Kafka, topic_prefix: str
) -> None:
    numbers = [str(number) for number in range(20)]
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CP1") as websocket,
    ):
        for number in numbers:
            await websocket.send(call(number, "Heartbeat", {}), text=True)
        assert [json.loads(await websocket.recv())[1] for _ in numbers] == numbers
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [frame.message_id for frame in frames] == [n for n in numbers for _ in range(2)]
    assert [frame.kind for frame in frames] == ["CALL", "CALLRESULT"] * 20


async def test_one_call_of_the_central_system_is_open_at_a_time_and_a_broken_result_is_objected_to(
    kafka: Kafka, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("TOPIC_PREFIX", topic_prefix)
    reset = ("CS1", "Reset", '{"type":"Immediate"}')
    settings = ingress_settings(kafka.bootstrap_servers, topic_prefix, ingress_validation="strict")
    async with (
        Ingress(settings) as ingress,
        charge_point(ingress, "CS1", OCPP21) as websocket,
    ):
        asking = [
            asyncio.create_task(
                asyncio.to_thread(call_command.main, [*reset, "--command-id", name])
            )
            for name in ("c-1", "c-2")
        ]
        number, first, *_ = json.loads(await websocket.recv())
        assert number == 2
        # Its own CALLs are answered meanwhile, and no second one of the central system's comes.
        for own in ("a", "b", "c"):
            assert (await ask(websocket, call(own, "Heartbeat", {}))).startswith(b'[3,"')
        await websocket.send(json.dumps([3, first, {"status": "Perhaps"}]))
        answers = {tuple(json.loads(await websocket.recv())[:2]) for _ in range(2)}
        (second,) = {"c-1", "c-2"} - {first}
        # In strict mode a CALLRESULT that breaks its schema gets a CALLRESULTERROR (2.1 §4.2.3).
        assert answers == {(5, first), (2, second)}
        await websocket.send(json.dumps([3, second, {"status": "Accepted"}]))
        await asyncio.gather(*asking)


async def test_pings_are_answered_and_a_connection_that_answers_none_is_closed(
    kafka: Kafka, topic_prefix: str
) -> None:
    settings = ingress_settings(
        kafka.bootstrap_servers,
        topic_prefix,
        ingress_ping_interval_s=0.5,
        ingress_ping_timeout_s=4,
    )
    disconnected = "charge point disconnected"
    with capture_logs() as logs:
        async with (
            Ingress(settings) as ingress,
            charge_point(ingress, "alive", ping_interval=None) as alive,
            charge_point(ingress, "dead", ping_interval=None) as dead,
        ):
            await (await alive.ping())
            dead.transport.pause_reading()
            async with asyncio.timeout(60):
                while disconnected not in [line["event"] for line in logs]:  # noqa: ASYNC110 - logs have no event
                    await asyncio.sleep(0.1)
            # It has been pinged as often as the other, and has answered.
            assert (await ask(alive, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
            assert [line["event"] for line in logs].count(disconnected) == 1
            dead.transport.abort()


async def test_compression_is_agreed_on_where_the_charge_point_offers_it(
    kafka: Kafka, topic_prefix: str
) -> None:
    async with Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress:
        for offered, agreed in (("deflate", True), (None, False)):
            async with charge_point(ingress, "CS1", OCPP21, compression=offered) as websocket:
                assert websocket.response is not None
                extensions = websocket.response.headers.get("Sec-WebSocket-Extensions", "")
                assert ("permessage-deflate" in extensions) == agreed
                assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
