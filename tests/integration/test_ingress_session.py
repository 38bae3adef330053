import asyncio
import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer
from ingress_kit import OCPP16, START, ask, call, charge_point, frames_on_log, ingress_settings
from ocpp.v16 import ChargePoint
from ocpp.v16 import call as request
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from ingress.durable import DurableProducer
from ingress.errors import NotDurableError
from ingress.metrics import FRAMES
from ingress.service import Ingress
from runtime.kafka import JAVA_PARTITIONER
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka


async def test_whole_session_with_the_ocpp_library(kafka: Kafka, topic_prefix: str) -> None:
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CP1") as websocket,
    ):
        # suppress=False: the library raises on a CALLERROR; it also validates every answer.
        cp = ChargePoint("CP1", websocket, response_timeout=10)
        listening = asyncio.create_task(cp.start())
        boot = await cp.call(request.BootNotification("Model", "Vendor"), suppress=False)
        assert (boot.status, boot.interval) == ("Accepted", 300)
        await cp.call(request.Heartbeat(), suppress=False)
        await cp.call(request.StatusNotification(1, "NoError", "Preparing"), suppress=False)
        authorized = await cp.call(request.Authorize("04A2B3C4"), suppress=False)
        assert authorized.id_tag_info["status"] == "Accepted"
        started = await cp.call(
            request.StartTransaction(1, "04A2B3C4", 1000, "2023-12-07T10:15:30Z"), suppress=False
        )
        assert started.transaction_id == 1
        values = [{"timestamp": "2023-12-07T10:45:30Z", "sampledValue": [{"value": "9000"}]}]
        await cp.call(request.MeterValues(1, values, started.transaction_id), suppress=False)
        stopped = await cp.call(
            request.StopTransaction(25000, "2023-12-07T11:45:30Z", 1, id_tag="04A2B3C4"),
            suppress=False,
        )
        assert stopped.id_tag_info["status"] == "Accepted"
        listening.cancel()
    found = frames_on_log(kafka.bootstrap_servers, topic_prefix)
    assert len({partition for partition, _ in found}) == 1
    frames = [frame for _, frame in found]
    actions = ["BootNotification", "Heartbeat", "StatusNotification", "Authorize",
               "StartTransaction", "MeterValues", "StopTransaction"]  # fmt: skip
    assert [(f.action, f.kind) for f in frames] == [
        (action, kind) for action in actions for kind in ("CALL", "CALLRESULT")
    ]
    times = [frame.received_at_ns for frame in frames]
    assert times == sorted(set(times))
    assert {frame.violation for frame in frames} == {None}


async def test_both_directions_are_on_the_log_byte_for_byte(
    kafka: Kafka, topic_prefix: str
) -> None:
    sent = [
        call("1", "Heartbeat", {}),
        b' [ 2,"2" ,"DataTransfer",{"vendorId":"\\u00e9","data":"\xc3\xa9"}]',
        b'[2,"3","NoSuchAction",{}]',
        b'[2,"4","StatusNotification"]',
        call("5", "DataTransfer", {"vendorId": "v", "data": "x" * 200_000}),
    ]
    wordless = [b"no JSON", b"\xff\x00", b'[3,"unasked",{}]']
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CP%201%2F%C3%A9") as websocket,
    ):
        expected = []
        for message in wordless:
            # Binary messages are taken as what they hold; a text one must be UTF-8.
            await websocket.send(message)
            expected.append(message)
        for message in sent:
            expected += [message, await ask(websocket, message)]
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [frame.raw for frame in frames] == expected
    assert {frame.client_id for frame in frames} == {"CP 1/é"}
    assert [frame.kind for frame in frames[:3]] == ["INVALID", "INVALID", "CALLRESULT"]
    assert all(frame.violation for frame in frames[:3])
    assert [json.loads(frame.raw)[2] for frame in frames if frame.kind == "CALLERROR"] == [
        "NotImplemented",
        "FormationViolation",
    ]


async def test_retried_start_gets_the_same_id_from_two_instances_and_after_a_restart(
    kafka: Kafka, topic_prefix: str
) -> None:
    settings = ingress_settings(kafka.bootstrap_servers, topic_prefix)

    async def start(ingress: Ingress, message_id: str, connector: int = 1) -> int:
        async with charge_point(ingress, "CP1") as websocket:
            message = call(message_id, "StartTransaction", {**START, "connectorId": connector})
            return int(json.loads(await ask(websocket, message))[2]["transactionId"])

    async with Ingress(settings) as one, Ingress(settings) as other:
        # Both at once: two records are written, and both instances go by the first.
        ids = set(await asyncio.gather(start(one, "a"), start(other, "b")))
        assert len(ids) == 1
        assert await start(other, "c") in ids
        second = await start(one, "d", connector=2)
        assert second not in ids
    async with Ingress(settings) as restarted:
        while restarted.not_ready is not None:  # noqa: ASYNC110 - readiness is polled by design
            await asyncio.sleep(0.01)
        assert {await start(restarted, "e")} == ids
        assert await start(restarted, "f", connector=2) == second


async def test_newest_connection_wins(kafka: Kafka, topic_prefix: str) -> None:
    async with (
        Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress,
        charge_point(ingress, "CP1") as old,
        charge_point(ingress, "CP1") as new,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await old.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        # The old one's clean-up is done, and the new one is served still.
        await old.wait_closed()
        assert (await ask(new, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
        async with charge_point(ingress, "CP1") as newest:
            await new.wait_closed()
            assert new.close_code == 1008
            assert (await ask(newest, call("2", "Heartbeat", {}))).startswith(b'[3,"2"')


async def test_handshake(kafka: Kafka, topic_prefix: str) -> None:
    settings = ingress_settings(kafka.bootstrap_servers, topic_prefix, ingress_max_connections=1)
    async with Ingress(settings) as ingress:
        for path, status in (("", 404), ("CP%00", 400)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{ingress.port}/{path}", subprotocols=OCPP16)
            assert refused.value.response.status_code == status
        # OCPP-J 1.6 §3.2: a handshake without subprotocol, then closed.
        async with charge_point(ingress, "CP1", [Subprotocol("ocpp1.2")]) as websocket:
            assert websocket.subprotocol is None
            await websocket.wait_closed()
            assert websocket.close_code == 1002
            assert (
                websocket.close_reason == "no common subprotocol; use ocpp2.1, ocpp2.0.1, ocpp1.6"
            )
        # No header at all (mobilityhouse/ocpp#54): taken as 1.6 by default.
        async with charge_point(ingress, "CP1", None) as websocket:
            assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{ingress.port}/CP2", subprotocols=OCPP16)
            assert refused.value.response.status_code == 503
            async with charge_point(ingress, "CP1"):  # has its place already
                await websocket.wait_closed()
                assert websocket.close_code == 1008


async def test_limits_and_settings(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    tags = tmp_path / "tags"
    tags.write_text("04A2B3C4,Blocked\n", encoding="utf-8")
    settings = ingress_settings(
        kafka.bootstrap_servers,
        topic_prefix,
        ingress_validation="strict",
        ingress_default_protocol="none",
        ingress_authorization_file=tags,
        ingress_max_frame_bytes=1024,
        ingress_max_frames_per_s=5,
        ingress_compression=False,
        heartbeat_interval_s=77,
    )
    async with Ingress(settings) as ingress:
        async with charge_point(ingress, "CP1", None) as websocket:
            await websocket.wait_closed()
            assert websocket.close_code == 1002
        async with charge_point(ingress, "CP1") as websocket:
            assert "Sec-WebSocket-Extensions" not in websocket.response.headers  # type: ignore[union-attr]  # set after the handshake
            boot = call(
                "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}
            )
            assert b'"interval":77' in await ask(websocket, boot)
            wrong = await ask(websocket, call("2", "Heartbeat", {"extra": 1}))
            assert wrong.startswith(b'[4,"2","FormationViolation"')
            assert b'"Blocked"' in await ask(websocket, call("3", "StartTransaction", START))
            assert b'"Invalid"' in await ask(websocket, call("4", "Authorize", {"idTag": "B"}))
            began = asyncio.get_running_loop().time()
            for number in range(5):
                await ask(websocket, call(str(number), "Heartbeat", {}))
            # Nine frames at five a second, five of them at once.
            assert asyncio.get_running_loop().time() - began > 0.5
            await websocket.send(call("9", "DataTransfer", {"vendorId": "v", "data": "x" * 2000}))
            await websocket.wait_closed()
            assert websocket.close_code == 1009


async def test_frames_lie_on_the_partition_that_murmur2_random_gives(
    kafka: Kafka, topic_prefix: str
) -> None:
    names = [f"CP{number}" for number in range(12)]
    async with Ingress(ingress_settings(kafka.bootstrap_servers, topic_prefix)) as ingress:

        async def beat(name: str) -> None:
            async with charge_point(ingress, name) as websocket:
                await ask(websocket, call("1", "Heartbeat", {}))

        await asyncio.gather(*(beat(name) for name in names))
    ours = {f.client_id: p for p, f in frames_on_log(kafka.bootstrap_servers, topic_prefix)}
    theirs: dict[object, int | None] = {}
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": JAVA_PARTITIONER}
    )
    for name in names:
        producer.produce(
            TopicNames(topic_prefix).events,  # as many partitions as the frames topic
            key=name,
            on_delivery=lambda _, record: theirs.update({record.key(): record.partition()}),
        )
    producer.flush(10)
    assert {name.encode(): partition for name, partition in ours.items()} == theirs
    assert len(set(ours.values())) > 1


async def test_producer_that_librdkafka_has_given_up_is_replaced(
    kafka: Kafka, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    await asyncio.to_thread(ensure_topics, kafka.access, names, 1)
    producer = DurableProducer(kafka.access, timeout_s=30, probe_topic=names.events)
    await producer.start()
    try:
        assert await producer.append(names.events, b"k", b"1", []) == 0
        given_up = producer._producer  # noqa: SLF001 - the state can't be reached from outside
        # What librdkafka reports where the broker refuses a gap in its sequence numbers.
        code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
        producer._on_error(KafkaError(code, "gap", fatal=True))  # noqa: SLF001 - as above
        async with asyncio.timeout(30):
            while producer._producer is given_up:  # noqa: ASYNC110, SLF001 - as above
                await asyncio.sleep(0.01)
        assert await producer.append(names.events, b"k", b"2", []) == 1
        assert producer.not_ready is None
    finally:
        await producer.stop()


async def test_a_record_that_kafka_refuses_for_good_is_not_durable_and_the_next_one_is(
    kafka: Kafka, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    await asyncio.to_thread(ensure_topics, kafka.access, names, 1)
    producer = DurableProducer(kafka.access, timeout_s=30, probe_topic=names.events)
    await producer.start()
    try:
        with pytest.raises(NotDurableError, match="too large"):
            await producer.append(names.events, b"k", bytes(1_100_000), [])
        assert producer.not_ready is not None
        assert await producer.append(names.events, b"k", b"1", []) == 0
        assert producer.not_ready is None
    finally:
        await producer.stop()


async def test_frames_that_come_all_at_once_are_answered_one_after_another(
    kafka: Kafka, topic_prefix: str
) -> None:
    settings = ingress_settings(
        kafka.bootstrap_servers, topic_prefix, ingress_max_frames_per_s=1_000_000
    )
    ids = [str(number) for number in range(300)]
    async with Ingress(settings) as ingress, charge_point(ingress, "CP1") as websocket:
        # Many in each segment; every third in fragments.
        for number, one in enumerate(ids):
            text = call(one, "Heartbeat", {}).decode()
            await websocket.send([text[:9], text[9:]] if number % 3 == 0 else text)
        answers = [json.loads(await websocket.recv()) for _ in ids]
    assert [answer[:2] for answer in answers] == [[3, one] for one in ids]
    frames = [frame for _, frame in frames_on_log(kafka.bootstrap_servers, topic_prefix)]
    assert [(frame.kind, frame.message_id) for frame in frames] == [
        (kind, one) for one in ids for kind in ("CALL", "CALLRESULT")
    ]


async def test_charge_point_that_reads_no_answers_is_asked_for_no_more_frames(
    kafka: Kafka, topic_prefix: str
) -> None:
    settings = ingress_settings(
        kafka.bootstrap_servers,
        topic_prefix,
        ingress_max_frames_per_s=1_000_000,
        ingress_validation="strict",
    )
    refused = call("1", "Heartbeat", {"x" * 200: 1})  # with an answer as long
    frames = 400
    # What lies between the two is kept small, to be full soon.
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    async with AsyncExitStack() as stack:
        ingress = await stack.enter_async_context(Ingress(settings))
        narrow.connect(("127.0.0.1", ingress.port))
        deaf = await stack.enter_async_context(
            charge_point(
                ingress, "deaf", sock=narrow, max_queue=1, compression=None, ping_interval=None
            )
        )
        (here,) = ingress._server._server.connections  # type: ignore[union-attr]  # noqa: SLF001 - see above
        here.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 2048
        )
        other = await stack.enter_async_context(charge_point(ingress, "CP2"))
        deaf.transport.pause_reading()
        for _ in range(frames):
            await deaf.send(refused, text=True)
        before, after = -1, 0
        async with asyncio.timeout(120):
            while before != after or not after:
                before, after = after, FRAMES.counts["outbound", "CALLERROR", "Heartbeat"]
                assert (await ask(other, call("1", "Heartbeat", {}))).startswith(b"[3")
                await asyncio.sleep(0.5)
        assert after < frames
        deaf.transport.resume_reading()
        for _ in range(frames):
            assert (await deaf.recv(decode=False)).startswith(b"[4")
