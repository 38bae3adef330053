"""What the processor's tests share: workers as processes, frames, and the fold they must equal."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import Producer
from frames16 import frame
from kafka_log import committed_records, key_and_value

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from processor.reducer import reduce
from processor.state import MemoryRows, encode_row
from processor.tariff import Tariffs
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import event_codec, frame_codec
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

PARTITIONS = 4
FRAMES = frame_codec()
EVENTS = event_codec()
Kafka = KafkaBroker | ExistingKafka


@contextmanager
def worker(
    kafka: Kafka, prefix: str, port: int, log: Path, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_PREFIX": prefix,
        "PARTITIONS": str(PARTITIONS),
        "PROCESSOR_WEB_PORT": str(port),
        "PROCESSOR_CANONICAL_HOST": "localhost",
        **settings,
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "processor"],
            env={**os.environ, **variables},
            stdout=out,
            stderr=out,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def eventually(condition: Callable[[], bool], what: str, within_s: float = 90) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not in {within_s} s: {what}"
        time.sleep(0.1)


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def measured(port: int) -> dict[str, float]:
    """The worker's own metrics by name, labels included."""
    prefix = "chargelog_processor_"
    lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text.splitlines()
    figures = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in figures)}


def history(charge_points: int, sessions: int) -> list[OcppFrame]:
    """Whole sessions of several charge points, interleaved; CP2, CP6, … speak OCPP 2.0.1."""
    at = 1_701_944_130_000_000_000
    frames = []
    for number in range(sessions):
        for point in range(charge_points):
            name = f"CP{point}"
            if point % 4 == 2:
                for raw in _session_201(number):
                    at += 1_000_000
                    frames.append(
                        frame(
                            raw,
                            action="TransactionEvent",
                            message_id=raw.split('"')[1],
                            at=at,
                            client_id=name,
                            protocol="ocpp2.0.1",
                        )
                    )
                continue
            transaction = 1 + number * charge_points + point
            start = f'{{"connectorId":1,"idTag":"T","meterStart":{number * 5000},'
            texts: list[dict[str, Any]] = [
                {
                    "raw": f'[2,"a{number}","StartTransaction",{start}'
                    '"timestamp":"2023-12-07T10:15:30Z"}]',
                    "action": "StartTransaction",
                },
                {
                    "raw": f'[3,"a{number}",{{"transactionId":{transaction},'
                    '"idTagInfo":{"status":"Accepted"}}]',
                    "action": "StartTransaction",
                    "kind": "CALLRESULT",
                    "direction": "outbound",
                },
                {
                    "raw": f'[2,"b{number}","StopTransaction",{{"transactionId":{transaction},'
                    f'"meterStop":{number * 5000 + 4000},"timestamp":"2023-12-07T11:15:30Z"}}]',
                    "action": "StopTransaction",
                },
            ]
            for text in texts:
                at += 1_000_000
                message_id = text["raw"].split('"')[1]
                frames.append(frame(**text, message_id=message_id, at=at, client_id=name))
    return frames


def _session_201(number: int) -> list[str]:
    """Started, Updated and Ended of one transaction."""
    wh = number * 5000
    return [
        f'[2,"{kind[0]}{number}","TransactionEvent",{{"eventType":"{kind}","timestamp":"{at}",'
        f'"triggerReason":"Trigger","seqNo":{seq_no},"transactionInfo":{{"transactionId":'
        f'"t{number}"}},"evse":{{"id":1}},"meterValue":[{{"timestamp":"{at}","sampledValue":['
        f'{{"value":{wh + 2000 * seq_no},"context":"{context}"}}]}}]}}]'
        for seq_no, (kind, at, context) in enumerate(
            (
                ("Started", "2023-12-07T10:15:30Z", "Transaction.Begin"),
                ("Updated", "2023-12-07T10:45:30Z", "Sample.Periodic"),
                ("Ended", "2023-12-07T11:15:30Z", "Transaction.End"),
            )
        )
    ]


def append(kafka: Kafka, topic: str, records: list[tuple[str, bytes]]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "partitioner": JAVA_PARTITIONER,
            # Without it a batch that is tried again lands behind the one after it.
            "enable.idempotence": True,
        }
    )
    for key, value in records:
        producer.produce(topic, key=key.encode(), value=value)
    assert producer.flush(20) == 0


def read(kafka: Kafka, topic: str) -> list[tuple[bytes, bytes]]:
    """Every committed (key, value) of the topic now, each partition in order."""
    return [key_and_value(one) for one in committed_records(kafka.bootstrap_servers, topic)]


def fold(frames: list[OcppFrame]) -> tuple[list[BusinessEvent], dict[bytes, bytes]]:
    rows = MemoryRows()
    events = [event for one in frames for event in reduce(one, rows, Tariffs())]
    return events, {key.encode(): encode_row(row) for key, row in rows.rows.items()}


def by_charge_point(values: list[bytes]) -> dict[str, list[bytes]]:
    """Encoded events in order, by the charge point's identity."""
    sorted_out: dict[str, list[bytes]] = {}
    for value in values:
        sorted_out.setdefault(EVENTS.decode(value).client_id, []).append(value)
    return sorted_out


def without_repetitions(values: list[bytes]) -> list[bytes]:
    """Each eventId's first; a later one must have the same bytes."""
    first: dict[tuple[str, str], bytes] = {}
    for value in values:
        event = EVENTS.decode(value)
        seen = first.setdefault((event.client_id, event.event_id), value)
        assert seen == value, "one eventId, two contents"
    return list(first.values())


def java_partition(kafka: Kafka, topic: str, key: str) -> int:
    """Where the Java partitioner puts a key; asks by appending a record."""
    landed: list[int | None] = []
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": JAVA_PARTITIONER}
    )
    producer.produce(
        topic, b"", key.encode(), on_delivery=lambda _, message: landed.append(message.partition())
    )
    assert producer.flush(20) == 0
    assert landed[0] is not None
    return landed[0]
