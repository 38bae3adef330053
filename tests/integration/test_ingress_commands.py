"""Commands on the log, real connections of charge points, and what becomes of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Producer
from ingress_kit import charge_point, frames_on_log, ingress_settings
from ocpp.routing import on
from ocpp.v16 import ChargePoint
from ocpp.v16 import call_result as answer
from websockets.asyncio.client import ClientConnection

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from ingress.commands import call
from ingress.service import Ingress
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import command_codec, command_result_codec
from schemas.commands import Command, CommandResult
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka


@pytest.fixture(autouse=True)
def kafka_variables(kafka: Kafka, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `chargelog-ingress call` reads."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("TOPIC_PREFIX", topic_prefix)


class Garage(ChargePoint):  # type: ignore[misc] # ocpp ships no types
    """Answers a Reset, and nothing else."""

    resets = 0

    @on("Reset")  # type: ignore[untyped-decorator]
    def reset(self, **_: Any) -> Any:  # noqa: ANN401
        self.resets += 1
        return answer.Reset(status="Accepted")


@asynccontextmanager
async def listening(websocket: ClientConnection) -> AsyncIterator[Garage]:
    garage = Garage("CP1", websocket)
    task = asyncio.create_task(garage.start())
    try:
        yield garage
    finally:
        task.cancel()


def ingress(kafka: Kafka, prefix: str, **changes: Any) -> Ingress:  # noqa: ANN401 - any setting
    return Ingress(ingress_settings(kafka.bootstrap_servers, prefix, **changes))


async def ready(*instances: Ingress) -> None:
    async with asyncio.timeout(60):
        while any(one.not_ready for one in instances):  # noqa: ASYNC110 - polled by design
            await asyncio.sleep(0.05)


async def ask(*arguments: str) -> int:
    return await asyncio.to_thread(call.main, list(arguments))


def printed_by(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The command's one line of JSON; the ingress in this process logs beside it."""
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    printed: dict[str, Any] = json.loads(line)
    return printed


async def test_a_command_is_answered_and_on_the_log(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        ingress(kafka, topic_prefix) as one,
        charge_point(one, "CP1") as websocket,
        listening(websocket) as garage,
    ):
        assert await ask("CP1", "Reset", '{"type":"Soft"}', "--command-id", "c1") == 0
        printed = printed_by(capsys)
        assert (printed["outcome"], printed["payload"]) == ("result", {"status": "Accepted"})
        # Given again, it is not sent again; its result is what it was.
        assert await ask("CP1", "Reset", '{"type":"Soft"}', "--command-id", "c1") == 0
        assert printed_by(capsys) == printed
        assert garage.resets == 1
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [(f.direction, f.kind, f.action, f.message_id) for f in frames] == [
        ("outbound", "CALL", "Reset", "c1"),
        ("inbound", "CALLRESULT", "Reset", "c1"),
    ]


async def test_a_charge_points_error_is_the_result(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        ingress(kafka, topic_prefix) as one,
        charge_point(one, "CP1") as websocket,
        listening(websocket),
    ):
        assert await ask("CP1", "ClearCache") == 1
    printed = printed_by(capsys)
    assert (printed["outcome"], printed["errorCode"]) == ("error", "NotImplemented")


async def test_a_result_that_breaks_its_schema_says_so(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ingress(kafka, topic_prefix) as one, charge_point(one, "CP1") as websocket:
        asking = asyncio.create_task(ask("CP1", "Reset", '{"type":"Soft"}', "--command-id", "c1"))
        await websocket.recv()
        await websocket.send('[3,"c1",{"status":"Perhaps"}]')
        await asking
    printed = printed_by(capsys)
    assert (printed["outcome"], printed["payload"]) == ("result", {"status": "Perhaps"})
    assert printed["description"].startswith("PropertyConstraintViolation: status: ")


@pytest.mark.parametrize(
    ("action", "payload", "reason"),
    [
        ("Reset", '{"type":"Sideways"}', "PropertyConstraintViolation"),
        ("Heartbeat", "{}", "ocpp1.6 has no command 'Heartbeat'"),
    ],
)
async def test_what_is_no_valid_call_is_rejected_and_not_sent(  # noqa: PLR0913, PLR0917 - fixtures
    kafka: Kafka,
    topic_prefix: str,
    capsys: pytest.CaptureFixture[str],
    action: str,
    payload: str,
    reason: str,
) -> None:
    async with ingress(kafka, topic_prefix) as one, charge_point(one, "CP1"):
        assert await ask("CP1", action, payload) == 1
    printed = printed_by(capsys)
    assert printed["outcome"] == "rejected"
    assert reason in printed["description"]
    assert frames_on_log(kafka.bootstrap_servers, topic_prefix) == []


async def test_a_charge_point_that_is_not_connected_lets_it_expire(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ingress(kafka, topic_prefix):
        assert await ask("CP1", "Reset", '{"type":"Soft"}', "--expires-in", "0.5") == 1
    printed = printed_by(capsys)
    assert printed["outcome"] == "expired"
    assert printed["description"] == "the charge point was not connected in time"


async def test_a_charge_point_that_connects_in_time_gets_it_from_whichever_instance(
    kafka: Kafka, topic_prefix: str
) -> None:
    async with ingress(kafka, topic_prefix) as one, ingress(kafka, topic_prefix) as two:
        await ready(one, two)
        asking = asyncio.create_task(ask("CP1", "Reset", '{"type":"Soft"}'))
        await asyncio.sleep(1)
        # Both hold a connection of it, as when its network had broken: still it is sent once.
        async with (
            charge_point(one, "CP1") as old,
            charge_point(two, "CP1") as new,
            listening(old),
            listening(new),
        ):
            assert await asking == 0
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [f.kind for f in frames] == ["CALL", "CALLRESULT"]


async def test_no_answer_in_time_is_a_timeout_and_the_next_command_follows(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        ingress(kafka, topic_prefix, ingress_command_timeout_s=1) as one,
        charge_point(one, "CP1") as websocket,
    ):
        assert await ask("CP1", "Reset", '{"type":"Soft"}') == 1
        printed = printed_by(capsys)
        assert (printed["outcome"], printed["description"]) == ("timeout", "no answer within 1 s")
        async with listening(websocket):
            assert await ask("CP1", "Reset", '{"type":"Hard"}') == 0


async def test_a_connection_that_ends_before_the_answer_leaves_it_unknown(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ingress(kafka, topic_prefix) as one:
        async with charge_point(one, "CP1") as websocket:
            asking = asyncio.create_task(ask("CP1", "Reset", '{"type":"Soft"}'))
            await websocket.recv()
        assert await asking == 1
    printed = printed_by(capsys)
    assert printed["outcome"] == "timeout"
    assert "ended before" in printed["description"]


async def test_what_a_dead_instance_sent_is_not_sent_again_and_gets_a_result(
    kafka: Kafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = TopicNames(topic_prefix)
    await asyncio.to_thread(ensure_topics, kafka.access, names, 4)
    now = time.time_ns() // 1000
    command = Command(
        command_id="c1",
        client_id="CP1",
        action="Reset",
        payload='{"type":"Soft"}',
        issued_at=now,
        expires_at=now + 600_000_000,
    )
    sent = CommandResult(
        command_id="c1", client_id="CP1", outcome="sent", instance="gone", at=now - 600_000_000
    )
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": JAVA_PARTITIONER}
    )
    producer.produce(names.commands, command_codec().encode(command), "CP1")
    producer.produce(names.commands, b"no command at all", "CP1")
    producer.produce(names.command_results, command_result_codec().encode(sent), "CP1")
    assert producer.flush(20) == 0
    async with ingress(kafka, topic_prefix) as one, charge_point(one, "CP1"):
        assert await ask("CP1", "Reset", '{"type":"Soft"}', "--command-id", "c1") == 1
    printed = printed_by(capsys)
    assert (printed["outcome"], printed["description"]) == (
        "timeout",
        "no answer is known; gone, which sent it, is gone",
    )
    assert frames_on_log(kafka.bootstrap_servers, topic_prefix) == []


@pytest.mark.parametrize("payload", ["{", "[1]"])
def test_a_payload_that_is_no_json_object_is_wrong_usage(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call.main(["CP1", "Reset", payload]) == 2
    assert "PAYLOAD" in capsys.readouterr().err
