"""Peers that only want memory, against a real ingress process that may hold little of it."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import attacks
import psutil
import pytest
from websockets.asyncio.client import connect

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from devstack.process import free_port
from devstack.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_MAX_FRAME_BYTES: Final = 256 * 1024
_BUDGET_BYTES: Final = 8 * 1024 * 1024
_HOLD_S: Final = 3.0
_ROOM_MB: Final = 60
"""For the budget, what is being parsed, and the sockets themselves."""
_WAIT_S: Final = 60.0
_PAUSE_S: Final = 0.05

_WITHHELD: Final = attacks.withheld(_MAX_FRAME_BYTES)


class Attacked:
    """An ingress process, and where it listens."""

    def __init__(self, service: Service, port: int) -> None:
        self.port = port
        self._ops_port = service.ops_port
        self._process = psutil.Process(service.pid)

    def memory_mb(self) -> float:
        """Resident now."""
        return self._process.memory_info().rss / 1e6

    def metric(self, name: str) -> float:
        """One without labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ops_port}/metrics") as answer:
            found = re.search(rf"^{name} (.*)$", answer.read().decode(), re.MULTILINE)
        assert found is not None
        return float(found[1])


@pytest.fixture
def attacked(
    kafka: KafkaBroker | ExistingKafka,
    topic_prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Attacked]:
    port, ops_port = free_port(), free_port()
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_PREFIX": topic_prefix,
        "PARTITIONS": "1",
        "INGRESS_PORT": str(port),
        "INGRESS_OPS_PORT": str(ops_port),
        "INGRESS_MAX_FRAME_BYTES": str(_MAX_FRAME_BYTES),
        "INGRESS_MAX_HELD_BYTES": str(_BUDGET_BYTES),
        "LOG_LEVEL": "error",
    }
    service = Service("ingress", tmp_path_factory.mktemp("ingress"), ops_port, variables)
    service.start_timeout = 120.0
    with service:
        yield Attacked(service, port)


async def undisturbed(port: int, ended: asyncio.Event) -> int:
    """A charge point with one CALL after another on one connection; how many were answered."""
    answered = 0
    async with connect(
        f"ws://127.0.0.1:{port}/CALM", subprotocols=attacks.OCPP16, ping_timeout=_WAIT_S
    ) as websocket:
        while not ended.is_set():
            await websocket.send(b'[2,"%d","Heartbeat",{}]' % answered, text=True)
            async with asyncio.timeout(_WAIT_S):
                answer = await websocket.recv(decode=False)
            assert answer.startswith(b'[3,"%d",' % answered)
            answered += 1
            await asyncio.sleep(_PAUSE_S)
    return answered


async def under(attacked: Attacked, attack: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - the attack's
    """The attack's result; the ingress must stay below its bound and serve a charge point."""
    ended = asyncio.Event()
    calm = asyncio.create_task(undisturbed(attacked.port, ended))
    before = attacked.memory_mb()
    attacking = asyncio.create_task(attack)
    highest = before
    while not attacking.done():
        highest = max(highest, attacked.memory_mb())
        await asyncio.sleep(0.02)
    ended.set()
    answered = await calm
    print(f"memory grew by {highest - before:.0f} MB; {answered} calm CALLs were answered")
    assert answered > 0
    assert highest - before < _ROOM_MB
    return await attacking


async def until_held(attacked: Attacked, limit: int) -> None:
    deadline = time.monotonic() + _WAIT_S
    while (held := await asyncio.to_thread(attacked.metric, "ingress_held_bytes")) > limit:
        assert time.monotonic() < deadline, f"{held} bytes are held after the attack"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("withheld", "peers", "left"),
    [
        ("a frame but for its last byte", 300, 0),
        ("a message but for its last fragment", 100, 0),
        # What the server took before they left is still put on the log, 50 a second.
        ("empty messages, more than are taken up", 30, _BUDGET_BYTES),
    ],
)
async def test_peers_that_hold_most_are_closed_and_others_served(
    attacked: Attacked, withheld: str, peers: int, left: int
) -> None:
    attack = attacks.withholding(attacked.port, peers, _WITHHELD[withheld], _HOLD_S)
    told = await under(attacked, attack)
    assert told > 0
    assert await asyncio.to_thread(attacked.metric, "ingress_connections_over_budget_total") >= told
    await until_held(attacked, left)


async def test_a_request_of_a_megabyte_is_not_kept(attacked: Attacked) -> None:
    await under(attacked, attacks.half_a_request(attacked.port, 200, _HOLD_S))
    await until_held(attacked, 0)


async def test_a_peer_that_never_reads_is_not_owed_pongs_without_end(attacked: Attacked) -> None:
    await under(attacked, attacks.unread_pongs(attacked.port, 20, _HOLD_S))
    await until_held(attacked, 0)


async def test_what_is_handled_is_held_no_longer(attacked: Attacked) -> None:
    message = b'[2,"m","DataTransfer",{"vendorId":"x","data":"%b"}]' % (b"y" * 200_000)
    async with connect(
        f"ws://127.0.0.1:{attacked.port}/LARGE", subprotocols=attacks.OCPP16
    ) as websocket:
        for _ in range(100):  # more than twice the budget, if it were counted for ever
            await websocket.send(message, text=True)
            async with asyncio.timeout(_WAIT_S):
                assert (await websocket.recv(decode=False)).startswith(b'[3,"m",')
        await until_held(attacked, 0)
    assert await asyncio.to_thread(attacked.metric, "ingress_connections_over_budget_total") == 0
