"""Kafka's disk is full under the ingress, then has room again: nothing lost, nothing twice."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ingress_charge_points import ChargePoint
from ingress_soak import Installation, read_log
from ingress_verdict import Verdict, verify

from devstack.kafka import KafkaBroker

pytestmark = pytest.mark.e2e

_FIRST_BYTES = 64 * 1024
"""The frames' segments must be the largest: what fills up is the log of record."""
_FULL_S = 4.0  # twice KAFKA_TIMEOUT_S, for charge points to be told
_WAIT_S = 90.0
_REPEATS = 20
"""What aiokafka tries a hundred times a second is logged every 30 s."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path / "kafka") as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_WAIT_S):
        while not condition():  # noqa: ASYNC110 - files and counters tell nobody
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_full_disk_acknowledges_nothing_and_loses_nothing(
    tmp_path: Path, broker: KafkaBroker
) -> None:
    installation = Installation(tmp_path, broker, random.Random("full disk"))  # noqa: S311 - a seed
    ended = False
    charge_points = [ChargePoint(f"FULL-{n}", installation.ports, "full disk") for n in range(6)]
    records = [charge_point.record for charge_point in charge_points]

    def acknowledged() -> int:
        return sum(len(record.acknowledged) for record in records)

    def written() -> int:
        data = tmp_path / "kafka" / "data"
        return max(path.stat().st_size for path in data.glob("ocpp.frames-*/*.log"))

    try:
        await asyncio.to_thread(installation.start)
        at_work = [asyncio.create_task(cp.run(lambda: ended)) for cp in charge_points]
        await until(lambda: written() > _FIRST_BYTES)
        await asyncio.to_thread(installation.fill_disk, _FULL_S)
        before = acknowledged()
        await until(lambda: acknowledged() > before + 50)
        ended = True
        async with asyncio.timeout(_WAIT_S):
            await asyncio.gather(*at_work)
        assert installation.crashed() == []
    finally:
        await asyncio.to_thread(installation.stop)
    frames = await asyncio.to_thread(read_log, broker.bootstrap_servers)
    verdict = verify(
        frames,
        [a for record in records for a in record.acknowledged],
        [s for record in records for s in record.sessions],
    )
    assert verdict == Verdict()
    # They were told, and not left waiting.
    assert sum(record.errors for record in records) > 0
    log = broker.log_path.read_text()
    assert "Error while appending records to ocpp.frames-" in log
    assert "Shutdown broker because all log dirs" in log
    logs = [(tmp_path / name / "ingress.log").read_text() for name in ("0", "1")]
    assert all(0 < text.count("Unable connect to node") < _REPEATS for text in logs)
