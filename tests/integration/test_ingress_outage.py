import asyncio
import json
from collections.abc import Iterator

import pytest
from ingress_kit import START, ask, call, charge_point, frames_on_log, ingress_settings
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from devstack.kafka import KafkaBroker
from ingress.authorization import AcceptAll
from ingress.protocol.version import Authorization
from ingress.service import Ingress

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    """A broker of these tests' own, to be stopped and paused."""
    with KafkaBroker() as running:
        yield running


async def until_ready(ingress: Ingress) -> None:
    async with asyncio.timeout(30):
        while ingress.not_ready is not None:  # noqa: ASYNC110 - readiness is polled by design
            await asyncio.sleep(0.05)


async def until_answered(websocket: ClientConnection, action: str, payload: object) -> bytes:
    """As a charge point does: the same message again until its answer is no error."""
    async with asyncio.timeout(30):
        while True:
            answer = await ask(websocket, call("again", action, payload))
            if answer.startswith(b"[3,"):
                return answer


async def test_hanging_kafka_gives_internal_error_then_recovers(
    broker: KafkaBroker, topic_prefix: str
) -> None:
    settings = ingress_settings(broker.bootstrap_servers, topic_prefix, kafka_timeout_s=2)
    async with Ingress(settings) as ingress, charge_point(ingress, "CP1") as websocket:
        assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
        broker.pause()
        try:
            answer = json.loads(await ask(websocket, call("2", "StartTransaction", START)))
            assert answer[:3] == [4, "2", "InternalError"]
            assert ingress.not_ready is not None
            # Nothing to answer: it waits, and must be on the log once Kafka is back.
            await websocket.send(b"no JSON", text=True)
            await asyncio.sleep(2.5)
        finally:
            broker.resume()
        answer = json.loads(await until_answered(websocket, "StartTransaction", START))
        assert answer[2]["transactionId"] == 1
        await until_ready(ingress)
        assert (await ask(websocket, call("3", "Heartbeat", {}))).startswith(b'[3,"3"')
    frames = [frame for _, frame in frames_on_log(broker.bootstrap_servers, topic_prefix)]
    assert b"no JSON" in [frame.raw for frame in frames]
    # No answer is on the log that the charge point did not get.
    answers = [(f.kind, f.message_id) for f in frames if f.direction == "outbound"]
    assert answers == [("CALLRESULT", "1"), ("CALLRESULT", "again"), ("CALLRESULT", "3")]
    times = [frame.received_at_ns for frame in frames]
    assert times == sorted(set(times))


async def test_stopped_kafka_gives_internal_error_then_recovers(
    broker: KafkaBroker, topic_prefix: str
) -> None:
    settings = ingress_settings(broker.bootstrap_servers, topic_prefix, kafka_timeout_s=2)
    async with Ingress(settings) as ingress, charge_point(ingress, "CP1") as websocket:
        first = json.loads(await until_answered(websocket, "StartTransaction", START))
        broker.kill()
        answer = json.loads(await ask(websocket, call("2", "Heartbeat", {})))
        assert answer[:3] == [4, "2", "InternalError"]
        assert ingress.not_ready is not None
        await asyncio.to_thread(broker.start)
        again = json.loads(await until_answered(websocket, "StartTransaction", START))
        assert again[2] == first[2]
        changed = {**START, "meterStart": 2000}
        other = json.loads(await until_answered(websocket, "StartTransaction", changed))
        assert other[2]["transactionId"] > first[2]["transactionId"]
        await until_ready(ingress)
    frames = [frame for _, frame in frames_on_log(broker.bootstrap_servers, topic_prefix)]
    answers = [f.message_id for f in frames if f.direction == "outbound"]
    assert answers == ["again"] * 3


class PausingAuthorizer(AcceptAll):
    """Kafka hangs at the very moment between a CALL's record and its answer's."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker
        self.armed = True

    def authorize(self, id_tag: str) -> Authorization:
        if self.armed:
            self.broker.pause()
            self.armed = False
        return super().authorize(id_tag)


async def test_unconfirmed_answer_is_not_sent_and_nothing_else_in_its_place(
    broker: KafkaBroker, topic_prefix: str
) -> None:
    settings = ingress_settings(broker.bootstrap_servers, topic_prefix, kafka_timeout_s=2)
    authorize = call("1", "Authorize", {"idTag": "04A2B3C4"})
    ingress = Ingress(settings)
    ingress.authorizer = PausingAuthorizer(broker)
    async with ingress:
        try:
            async with charge_point(ingress, "CP1") as websocket:
                with pytest.raises(ConnectionClosed):
                    await ask(websocket, authorize)
                assert websocket.close_code == 1011
        finally:
            broker.resume()
        await until_ready(ingress)
        async with charge_point(ingress, "CP1") as websocket:
            assert (await ask(websocket, authorize)).startswith(b'[3,"1"')
    frames = [frame for _, frame in frames_on_log(broker.bootstrap_servers, topic_prefix)]
    # The first answer is on the log as one that was lost on its way.
    assert [f.kind for f in frames] == ["CALL", "CALLRESULT"] * 2
    assert len({f.connection_id for f in frames}) == 2


async def test_shutting_down_without_kafka_ends_and_names_what_is_not_on_the_log(
    topic_prefix: str,
) -> None:
    with KafkaBroker() as broker, capture_logs() as logs:
        settings = ingress_settings(
            broker.bootstrap_servers, topic_prefix, kafka_timeout_s=2, ingress_drain_timeout_s=0.5
        )
        async with Ingress(settings) as ingress, charge_point(ingress, "CP1") as websocket:
            await ask(websocket, call("1", "Heartbeat", {}))
            broker.kill()
            await websocket.send(b"no JSON", text=True)
            await asyncio.sleep(0.2)
            began = asyncio.get_running_loop().time()
            await ingress.__aexit__()
            assert asyncio.get_running_loop().time() - began < 8
    lost = [entry for entry in logs if entry["event"].startswith("a frame that gets no answer")]
    assert [(entry["client_id"], entry["raw"]) for entry in lost] == [("CP1", b"no JSON")]
