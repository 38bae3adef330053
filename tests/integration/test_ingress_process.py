import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from ingress_kit import OCPP16, ask, call, frames_on_log, service_process, until_status
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from devstack.process import free_port

pytestmark = pytest.mark.integration


async def test_sigterm_finishes_what_is_in_flight_and_closes_with_1001(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str
) -> None:
    port, ops_port = free_port(), free_port()
    with service_process(
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        TOPIC_PREFIX=topic_prefix,
        INGRESS_PORT=str(port),
        INGRESS_OPS_PORT=str(ops_port),
    ) as running:
        await until_status(ops_port, 200)
        async with connect(f"ws://127.0.0.1:{port}/CP1", subprotocols=OCPP16) as websocket:
            assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
            answered = 1
            running.send_signal(signal.SIGTERM)
            with suppress(ConnectionClosed):  # it may have been quicker
                await websocket.send(call("2", "Heartbeat", {}), text=True)
            async for message in websocket:
                assert str(message).startswith('[3,"2"')
                answered += 1
            assert websocket.close_code == 1001
        assert await asyncio.to_thread(running.wait, 20) == 0
    frames = frames_on_log(kafka.bootstrap_servers, topic_prefix)
    assert sum(frame.direction == "outbound" for _, frame in frames) == answered


async def test_list_of_id_tags_is_read_again_on_sighup_and_on_change(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str, tmp_path: Path
) -> None:
    tags = tmp_path / "tags"
    tags.write_text("A,Blocked\n", encoding="utf-8")
    before = tags.stat()
    port, ops_port = free_port(), free_port()
    authorize = call("1", "Authorize", {"idTag": "A"})
    with service_process(
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        TOPIC_PREFIX=topic_prefix,
        INGRESS_PORT=str(port),
        INGRESS_OPS_PORT=str(ops_port),
        INGRESS_AUTHORIZATION_FILE=str(tags),
    ) as running:
        await until_status(ops_port, 200)
        async with (
            connect(f"ws://127.0.0.1:{port}/CP1", subprotocols=OCPP16) as websocket,
            asyncio.timeout(20),
        ):
            assert b"Blocked" in await ask(websocket, authorize)
            tags.write_text("A,Expired\n", encoding="utf-8")
            os.utime(tags, ns=(before.st_atime_ns, before.st_mtime_ns))  # looks unchanged
            running.send_signal(signal.SIGHUP)
            while b"Expired" not in await ask(websocket, authorize):
                continue
            tags.write_text("A\n", encoding="utf-8")
            while b"Accepted" not in await ask(websocket, authorize):
                continue


async def test_unreachable_kafka_is_waited_for_with_a_message_and_sigterm_ends_it() -> None:
    ops_port = free_port()
    with service_process(
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}",
        INGRESS_PORT="0",
        INGRESS_OPS_PORT=str(ops_port),
    ) as running:
        assert "waiting for Kafka" in await until_status(ops_port, 503)
        await asyncio.sleep(3.5)  # the first attempt takes three seconds
        running.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(running.communicate, None, 20)
        assert running.returncode == 0
    assert "waiting for Kafka" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INGRESS_PORT", "ninethousand", "INGRESS_PORT='ninethousand' is not valid; expected"),
        ("INGRESS_AUTHORIZATION_FILE", "tags", "INGRESS_AUTHORIZATION_FILE: line 1: 'Perhaps' is"),
    ],
)
def test_wrong_setting_gives_one_line_and_exit_code_2(
    variable: str, value: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "tags").write_text("A,Perhaps\n", encoding="utf-8")
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "ingress"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), variable: value},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 2
    assert errors.startswith(f"chargelog-ingress: {message}")
    assert errors.count("\n") == 1


def connections(ops_port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{ops_port}/metrics") as answer:
        text = answer.read().decode()
    return sum(
        int(float(n)) for n in re.findall(r"^ingress_connections\{.*\} (\S+)$", text, re.MULTILINE)
    )


async def test_processes_share_a_port_and_open_more_files_than_the_soft_limit(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str
) -> None:
    port = free_port()
    ops_ports = [free_port(), free_port()]
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_PREFIX": topic_prefix,
        "INGRESS_PORT": str(port),
        "INGRESS_REUSE_PORT": "true",
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        try:
            for ops_port in ops_ports:
                stack.enter_context(service_process(**variables, INGRESS_OPS_PORT=str(ops_port)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for ops_port in ops_ports:
            await until_status(ops_port, 200)
        websockets = [
            await connect(f"ws://127.0.0.1:{port}/CP{number}", subprotocols=OCPP16)
            for number in range(300)
        ]
        for websocket in websockets:
            assert (await ask(websocket, call("1", "Heartbeat", {}))).startswith(b'[3,"1"')
        served = [await asyncio.to_thread(connections, ops_port) for ops_port in ops_ports]
        assert sum(served) == 300
        # More than the soft limit leaves, for at least one of them.
        assert min(served) > 30
        assert max(served) >= 150
        for websocket in websockets:
            websocket.transport.abort()
