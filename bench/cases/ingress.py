"""One ingress process, every frame on Kafka with acks=all, against a bare `websockets` server."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench import charge_point_load as load
from bench.comparison import compare
from bench.size import Size
from devstack.existing import kafka_broker, named_kafka
from devstack.process import accepts_connections, free_port
from devstack.service import Service

_SETTLE_S = 1.0
_MICROS = 1_000_000


class _Server(NamedTuple):
    port: int
    pid: int


def run(size: Size) -> None:
    """Frames a second, latency, memory of an idle connection, a reconnect storm.

    The bare server parses each frame and sends it back: no log, no validation, no state. Latencies
    are those of a heartbeat a minute and a meter value each 10 s of every charge point.
    """
    broker = kafka_broker(named_kafka()).start()
    try:
        with _bare() as bare, _ingress(broker.bootstrap_servers) as ingress:
            servers = {"chargelog": ingress, "bare-websockets": bare}
            # A Kafka that has just started compiles itself on the cores that are measured.
            uvloop.run(_traffic(ingress, size.of(1_000, 20), size.of(200, 2) / 10))
            _compare(size, servers, "ingress", "frames/s", _throughput(size))
            for fleet in size.of(10_000, 40), size.of(1_000, 20):
                _latency(size, servers, fleet)
            _compare(size, servers, "ingress.reconnect-storm", "s", _storm(size))
        _memory(size, broker.bootstrap_servers)
    finally:
        broker.close()


def _compare(
    size: Size,
    servers: dict[str, _Server],
    case: str,
    unit: str,
    measure: Callable[[_Server], Coroutine[Any, Any, float]],
) -> None:
    def contender(server: _Server) -> Callable[[], float]:
        return lambda: uvloop.run(measure(server))

    contenders = {name: contender(server) for name, server in servers.items()}
    compare(case, unit, contenders, subject="chargelog", rounds=size.rounds)


async def _traffic(server: _Server, number: int, seconds: float) -> None:
    fleet = await load.connect(server.port, number)
    await load.throughput(fleet, seconds)
    load.close(fleet)


def _throughput(size: Size) -> Callable[[_Server], Coroutine[Any, Any, float]]:
    async def measure(server: _Server) -> float:
        fleet = await load.connect(server.port, size.of(1_000, 20))
        await load.throughput(fleet, size.of(10, 2) / 10)  # a warm-up
        frames = await load.throughput(fleet, size.of(10, 1) / 2)
        load.close(fleet)
        return frames

    return measure


def _latency(size: Size, servers: dict[str, _Server], number: int) -> None:
    """Both percentiles come from one measurement; its median round is the one of the p50."""
    found: dict[str, list[load.Latency]] = {name: [] for name in servers}

    async def measure(name: str, server: _Server) -> float:
        fleet = await load.connect(server.port, number)
        latency = await load.latency(fleet, size.of(20, 2))
        load.close(fleet)
        found[name].append(latency)
        return latency.p50 * 1000

    def p50(name: str, server: _Server) -> Callable[[], float]:
        return lambda: uvloop.run(measure(name, server))

    def p99(name: str) -> Callable[[], float]:
        rounds = iter(found[name])
        return lambda: next(rounds).p99 * 1000

    case = f"ingress.{number}-charge-points"
    both = {name: p50(name, server) for name, server in servers.items()}
    compare(f"{case}.p50", "ms", both, subject="chargelog", rounds=size.rounds)
    after = {name: p99(name) for name in servers}
    compare(f"{case}.p99", "ms", after, subject="chargelog", rounds=size.rounds)


def _memory(size: Size, bootstrap_servers: str) -> None:
    """In new processes each time: memory that others have left to one would be used again."""
    number = size.of(5_000, 200)

    async def measure(server: _Server) -> float:
        warm = await load.connect(server.port, 50)
        load.close(warm)
        before = _rss(server.pid)
        fleet = await load.connect(server.port, number)
        for charge_point in fleet:
            await charge_point.ask(load.HEARTBEAT)
        after = _rss(server.pid)
        load.close(fleet)
        return (after - before) / number

    def in_bare() -> float:
        with _bare() as server:
            return uvloop.run(measure(server))

    def in_ingress() -> float:
        with _ingress(bootstrap_servers) as server:
            return uvloop.run(measure(server))

    contenders = {"chargelog": in_ingress, "bare-websockets": in_bare}
    compare("ingress.idle-connection", "bytes", contenders, subject="chargelog", rounds=size.rounds)


def _storm(size: Size) -> Callable[[_Server], Coroutine[Any, Any, float]]:
    async def measure(server: _Server) -> float:
        return await load.storm(server.port, size.of(5_000, 100))

    return measure


def _rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _bare() -> Iterator[_Server]:
    port = free_port()
    with subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bench.bare_websocket_server", str(port)],
        stderr=subprocess.DEVNULL,  # it complains about every client that vanishes
    ) as process:
        try:
            while not accepts_connections(port):
                time.sleep(0.05)
            yield _Server(port, process.pid)
        finally:
            process.kill()


@contextmanager
def _ingress(bootstrap_servers: str) -> Iterator[_Server]:
    port, ops_port = free_port(), free_port()
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOPIC_PREFIX": f"bench-{uuid.uuid4().hex[:8]}.",
        "KAFKA_TIMEOUT_S": "60",
        "INGRESS_PORT": str(port),
        "INGRESS_OPS_PORT": str(ops_port),
        "INGRESS_MAX_FRAMES_PER_S": str(_MICROS),
        "INGRESS_MAX_CONNECTIONS": "20000",
        "LOG_LEVEL": "error",
    }
    with (
        tempfile.TemporaryDirectory(prefix="chargelog-bench-") as directory,
        Service("ingress", Path(directory), ops_port, variables) as service,
    ):
        yield _Server(port, service.pid)
