"""In front of another central system: an ingress of its own, or a server that does as it likes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from ingress_kit import OCPP16, START, ask, call, charge_point, frames_on_log, ingress_settings
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, basic_auth, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from devstack.process import free_port
from ingress.service import Ingress

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka
Behaviour = Callable[[ServerConnection], Awaitable[None]]
OCPP16_PROTOCOL = Subprotocol("ocpp1.6")


@asynccontextmanager
async def relay(
    kafka: Kafka, prefix: str, upstream_port: int, **changes: int
) -> AsyncIterator[Ingress]:
    settings = ingress_settings(
        kafka.bootstrap_servers,
        prefix,
        upstream_url=f"ws://127.0.0.1:{upstream_port}/ocpp/",
        kafka_timeout_s=3,
        **changes,
    )
    async with Ingress(settings) as ingress:
        yield ingress


@asynccontextmanager
async def central_system(behaviour: Behaviour) -> AsyncIterator[int]:
    async with serve(behaviour, "127.0.0.1", 0, subprotocols=[OCPP16_PROTOCOL]) as server:
        yield int(server.sockets[0].getsockname()[1])


async def test_a_session_is_answered_by_the_central_system_behind_and_is_on_both_logs(
    kafka: Kafka, topic_prefix: str
) -> None:
    behind = f"{topic_prefix}behind."
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, behind)) as upstream,
        relay(kafka, topic_prefix, upstream.port) as front,
        charge_point(front, "CP%2F1") as websocket,
    ):
        assert websocket.subprotocol == "ocpp1.6"
        assert b'"transactionId":1' in await ask(websocket, call("1", "StartTransaction", START))
        assert (await ask(websocket, b'[2,"2","Nonsense",{}]')).startswith(
            b'[4,"2","NotImplemented"'
        )
    seen = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    truth = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, behind)]
    assert [(f.client_id, f.direction, f.kind, f.action, f.raw) for f in seen] == [
        (f.client_id, f.direction, f.kind, f.action, f.raw) for f in truth
    ]
    assert seen[0].client_id == "CP/1"
    assert len(seen) == 4


async def test_bytes_pass_as_they_are_and_the_central_systems_calls_too(
    kafka: Kafka, topic_prefix: str
) -> None:
    from_central = [b'[2, "r1" ,"Reset",{"type":"Soft"}]', b"\xc3\xa4 no JSON"]
    arrived: list[bytes] = []

    from_charge_point = [b'[3 , "r1",{"status":"Accepted"}]', b'{"not": "OCPP"}']

    async def behaviour(websocket: ServerConnection) -> None:
        for raw in from_central:
            await websocket.send(raw, text=True)
        arrived.extend([await websocket.recv(decode=False) for _ in from_charge_point])
        await websocket.close(4001, "that is all")

    async with (
        central_system(behaviour) as port,
        relay(kafka, topic_prefix, port) as front,
        charge_point(front, "CP1") as websocket,
    ):
        assert [await websocket.recv(decode=False) for _ in from_central] == from_central
        for raw in from_charge_point:
            await websocket.send(raw, text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
    assert (closed.value.rcvd and closed.value.rcvd.code) == 4001
    assert arrived == from_charge_point
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [(f.direction, f.kind, f.action, f.raw) for f in frames] == [
        ("outbound", "CALL", "Reset", from_central[0]),
        ("outbound", "INVALID", None, from_central[1]),
        ("inbound", "CALLRESULT", "Reset", from_charge_point[0]),
        ("inbound", "INVALID", None, from_charge_point[1]),
    ]


async def test_what_has_passed_is_held_no_longer(kafka: Kafka, topic_prefix: str) -> None:
    limit = 4 * 1024 * 1024

    async def behaviour(websocket: ServerConnection) -> None:
        async for raw in websocket:
            await websocket.send(f"[3,{len(raw)},{{}}]")

    message = b'[2,"1","DataTransfer",{"vendorId":"x","data":"%b"}]' % (b"y" * 200_000)
    async with (
        central_system(behaviour) as port,
        relay(kafka, topic_prefix, port, ingress_max_held_bytes=limit) as front,
        charge_point(front, "CP1") as websocket,
    ):
        for _ in range(2 * limit // len(message)):
            assert await ask(websocket, message) == b"[3,%d,{}]" % len(message)


async def test_the_charge_points_end_reaches_the_central_system(
    kafka: Kafka, topic_prefix: str
) -> None:
    ends: asyncio.Queue[int | None] = asyncio.Queue()

    async def behaviour(websocket: ServerConnection) -> None:
        await websocket.wait_closed()
        ends.put_nowait(websocket.close_code)

    async with central_system(behaviour) as port, relay(kafka, topic_prefix, port) as front:
        async with charge_point(front, "CP1") as websocket:
            await websocket.close(4002, "going home")
        async with asyncio.timeout(20):
            assert await ends.get() == 4002
        async with charge_point(front, "CP1") as websocket:
            websocket.transport.abort()
            async with asyncio.timeout(20):
                assert await ends.get() == 1006


async def test_a_central_system_that_breaks_off_breaks_off_for_the_charge_point(
    kafka: Kafka, topic_prefix: str
) -> None:
    async def behaviour(websocket: ServerConnection) -> None:
        await websocket.recv()
        websocket.transport.abort()

    async with (
        central_system(behaviour) as port,
        relay(kafka, topic_prefix, port) as front,
        charge_point(front, "CP1") as websocket,
    ):
        await websocket.send(call("1", "Heartbeat", {}), text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is None


async def test_a_handshake_with_strange_headers_is_the_charge_points_fault_not_ours(
    kafka: Kafka, topic_prefix: str
) -> None:
    agents: list[list[str]] = []

    async def behaviour(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        agents.append(websocket.request.headers.get_all("User-Agent"))
        await websocket.wait_closed()

    async with central_system(behaviour) as port, relay(kafka, topic_prefix, port) as front:
        twice = [("User-Agent", "firmware 1"), ("User-Agent", "modem 2")]
        async with charge_point(
            front, "CP1", additional_headers=twice, user_agent_header=None
        ) as websocket:
            assert websocket.subprotocol == "ocpp1.6"
        with pytest.raises(InvalidStatus) as refused:
            async with charge_point(
                front, "CP1", None, additional_headers=[("Sec-WebSocket-Protocol", "ocpp1.6,,@")]
            ):
                pass
        assert refused.value.response.status_code == 400
    assert agents == [["firmware 1"]]


async def test_a_refusal_is_passed_on_and_credentials_are(kafka: Kafka, topic_prefix: str) -> None:
    async def behaviour(websocket: ServerConnection) -> None:
        await websocket.wait_closed()

    server = serve(
        behaviour,
        "127.0.0.1",
        0,
        subprotocols=[OCPP16_PROTOCOL],
        process_request=basic_auth(credentials=("CP1", "secret")),
    )
    async with server as running:
        port = int(running.sockets[0].getsockname()[1])
        async with relay(kafka, topic_prefix, port) as front:
            url = f"ws://127.0.0.1:{front.port}/CP1"
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, subprotocols=OCPP16)
            assert refused.value.response.status_code == 401
            url = f"ws://CP1:secret@127.0.0.1:{front.port}/CP1"
            async with connect(url, subprotocols=OCPP16) as websocket:
                assert websocket.subprotocol == "ocpp1.6"


async def test_a_central_system_that_is_away_is_a_bad_gateway(
    kafka: Kafka, topic_prefix: str
) -> None:
    async with relay(kafka, topic_prefix, free_port()) as front:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{front.port}/CP1", subprotocols=OCPP16)
    assert refused.value.response.status_code == 502
    assert b"the central system can't be reached" in refused.value.response.body


async def test_what_kafka_does_not_confirm_does_not_pass(topic_prefix: str) -> None:
    arrived: list[bytes] = []

    async def behaviour(websocket: ServerConnection) -> None:
        arrived.append(await websocket.recv(decode=False))

    with KafkaBroker() as broker:
        async with (
            central_system(behaviour) as port,
            relay(broker, topic_prefix, port) as front,
            charge_point(front, "CP1") as websocket,
        ):
            broker.pause()
            try:
                await websocket.send(call("1", "Heartbeat", {}), text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await websocket.recv()
            finally:
                broker.resume()
    assert (closed.value.rcvd and closed.value.rcvd.code) == 1011
    assert arrived == []
