"""Whether what the processor overrides and uses of Faust and aiokafka is still what it was.

Each entry is a piece of the library that code of ours replaces or leans on beyond the documented
interface. When one fails after an upgrade: read what changed, look whether our code still fits,
then put the new hash here.
"""

# ruff: noqa: SLF001  # private parts of the libraries are this file's subject

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver

TRANSPORT = "processor/faust_transport.py"
RECOVERY = "processor/faust_recovery.py"
APP = "processor/app.py"
PARTITIONS = "processor/partitions.py"

INTERNALS: list[tuple[Callable[..., Any], str, str]] = [
    (driver.AIOKafkaConsumerThread._fetch_records, TRANSPORT, "39a2c6c79fc1455a"),
    (driver.AIOKafkaConsumerThread.seek_to_committed, TRANSPORT, "775ab0adc4b052ab"),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, TRANSPORT, "c2701bfc3e6f6cad"),
    (driver.AIOKafkaConsumerThread.verify_event_path, TRANSPORT, "b983e7735f647cb3"),
    (driver.Consumer._to_message, TRANSPORT, "7c24f6511b2fcef7"),
    (driver.Consumer._new_consumer_thread, TRANSPORT, "0870ec53dea75083"),
    (consumer.ConsumerThread.on_partitions_assigned, TRANSPORT, "e59e8dda43724bd4"),
    (consumer.Consumer.getmany, TRANSPORT, "4b168d84882a70d6"),
    (consumer.Consumer.perform_seek, TRANSPORT, "0e8c130ff4b0afd8"),
    (consumer.Consumer._drain_messages, TRANSPORT, "44a2500309e83c63"),
    (aiokafka.AIOKafkaConsumer.start, TRANSPORT, "2f1ba70443327538"),
    (aiokafka.AIOKafkaConsumer.seek_to_committed, TRANSPORT, "f6cd85c8b70a4ccf"),
    (PartitionRecords._consumer_record, TRANSPORT, "e668541600b047ab"),
    (Fetcher._proc_fetch_request, TRANSPORT, "59bf948fff47eed5"),
    (Fetcher.fetched_records, TRANSPORT, "be4348896b9b66af"),
    (Recovery.on_rebalance, RECOVERY, "aa4d997a1795ceae"),
    (Recovery._restart_recovery, RECOVERY, "6bd8a8558a2dffe4"),
    (Recovery._slurp_changelogs, RECOVERY, "7825c7e50f766d5a"),
    (Recovery._wait, RECOVERY, "ec7429b70176f8c6"),
    (Recovery.on_recovery_completed, RECOVERY, "6ef567acf072e46d"),
    (TableManager.on_rebalance, RECOVERY, "2d2c23a07bf54328"),
    (TableManager.on_stop, RECOVERY, "351be149c0360de5"),
    (App._on_partitions_revoked, APP, "d5c895bbe57dc73a"),
    (App._on_partitions_assigned, APP, "de932b7927db85b3"),
    (App._stop_consumer, APP, "55854a5de12c3f52"),
    (App.on_stop, APP, "bfe5a933defb2324"),
    (driver.AIOKafkaConsumerThread._commit, APP, "932852ce7a23f658"),
    (consumer.Consumer.on_buffer_full, PARTITIONS, "c8961679e0bcdce5"),
    (consumer.Consumer.on_buffer_drop, PARTITIONS, "4b57e8a418d5ad9c"),
]


def name_of(piece: Callable[..., Any]) -> str:
    name: str = getattr(piece, "fun", piece).__qualname__
    return name


def source_hash(piece: Callable[..., Any]) -> str:
    code = getattr(piece, "fun", piece)  # what mode's Service.task wraps
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("piece", "ours", "known"), INTERNALS, ids=[name_of(piece) for piece, _, _ in INTERNALS]
)
def test_the_library_is_as_our_override_expects_it(
    piece: Callable[..., Any], ours: str, known: str
) -> None:
    assert source_hash(piece) == known, (
        f"{name_of(piece)} of faust-streaming {version('faust-streaming')}, aiokafka "
        f"{version('aiokafka')} is not what {ours} was written against"
    )
