"""What an operator sees of a running ingress: metrics, and logs that name the connection."""

import asyncio
import json
import signal
import urllib.request
from typing import Any

import pytest
from ingress_kit import ask, call, service_process, until_status
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from devstack.process import free_port

pytestmark = pytest.mark.integration

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def connected_in(protocol: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "ingress_connections", (("protocol", protocol),)


async def test_metrics_and_logs_of_connections_frames_and_refusals(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str
) -> None:
    port, ops_port = free_port(), free_port()
    with service_process(
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        TOPIC_PREFIX=topic_prefix,
        INGRESS_PORT=str(port),
        INGRESS_OPS_PORT=str(ops_port),
        INGRESS_VALIDATION="strict",
    ) as running:
        await until_status(ops_port, 200)
        url = f"ws://127.0.0.1:{port}"
        async with (
            connect(f"{url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as old,
            connect(f"{url}/CP2", subprotocols=[Subprotocol("ocpp2.1")]) as new,
            connect(f"{url}/CP3", subprotocols=[Subprotocol("ocpp2.1")]),
        ):
            await ask(old, call("1", "Heartbeat", {}))
            await ask(old, call("2", "Heartbeat", {"x": 1}))
            await ask(old, call("3", "Made-up-" + "x" * 200, {}))
            await ask(new, b"no JSON")
            found = await asyncio.to_thread(scraped, ops_port)
            async with asyncio.timeout(60):
                # The last one has its answer to the handshake, but may not be counted yet.
                while found[connected_in("ocpp2.1")] < 2:
                    await asyncio.sleep(0.05)
                    found = await asyncio.to_thread(scraped, ops_port)
        running.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(running.communicate, None, 60)

    def value(name: str, **labels: str) -> float | None:
        return found.get((name, tuple(sorted(labels.items()))))

    assert (found[connected_in("ocpp1.6")], found[connected_in("ocpp2.1")]) == (1, 2)
    inbound = {"direction": "inbound", "kind": "CALL"}
    assert value("ingress_frames_total", action="Heartbeat", **inbound) == 2
    assert value("ingress_frames_total", action="unknown", **inbound) == 1
    assert value("ingress_frames_total", direction="inbound", kind="INVALID", action="") == 1
    assert (
        value("ingress_frames_total", direction="outbound", kind="CALLRESULT", action="Heartbeat")
        == 1
    )
    assert value("ingress_violations_total", kind="CALL", code="FormationViolation") == 1
    assert value("ingress_violations_total", kind="CALL", code="NotImplemented") == 1
    assert value("ingress_violations_total", kind="INVALID", code="RpcFrameworkError") == 1
    for code in ("FormationViolation", "NotImplemented", "RpcFrameworkError"):
        assert value("ingress_call_errors_total", code=code) == 1
    assert value("ingress_answer_seconds_count", action="Heartbeat") == 2
    appended = value("ingress_append_seconds_count")
    assert appended is not None
    assert appended >= 8  # four frames in, four out

    lines: list[dict[str, Any]] = [json.loads(line) for line in errors.splitlines()]
    for client_id in ("CP1", "CP2", "CP3"):
        about = [line for line in lines if line.get("client_id") == client_id]
        assert [line["event"] for line in about] == [
            "charge point connected",
            "charge point disconnected",
        ]
        assert len({line["connection_id"] for line in about}) == 1
