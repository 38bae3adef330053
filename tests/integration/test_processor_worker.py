"""The worker as a process of its own, on a real Kafka; the pure fold says what must come out."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from frames16 import frame

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from processor.reducer import reduce
from processor.state import MemoryRows, encode_row
from processor.tariff import Tariffs
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import dead_letter_codec, event_codec, frame_codec
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration

PARTITIONS = 4
FRAMES = frame_codec()
EVENTS = event_codec()
Kafka = KafkaBroker | ExistingKafka


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def worker(kafka: Kafka, prefix: str, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_PREFIX": prefix,
        "PARTITIONS": str(PARTITIONS),
        "PROCESSOR_WEB_PORT": str(port),
        "PROCESSOR_CANONICAL_HOST": "localhost",
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


def eventually(condition: Callable[[], bool], what: str, within_s: float = 40) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not in {within_s} s: {what}"
        time.sleep(0.1)


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def history(charge_points: int, sessions: int) -> list[OcppFrame]:
    """Whole sessions of several charge points, interleaved."""
    at = 1_701_944_130_000_000_000
    frames = []
    for number in range(sessions):
        for point in range(charge_points):
            name = f"CP{point}"
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


def append(kafka: Kafka, topic: str, records: list[tuple[str, bytes]]) -> None:
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": JAVA_PARTITIONER}
    )
    for key, value in records:
        producer.produce(topic, key=key.encode(), value=value)
    assert producer.flush(20) == 0


def read(kafka: Kafka, topic: str) -> list[tuple[bytes, bytes]]:
    """Every (key, value) of the topic now, each partition in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "reader",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(PARTITIONS)])
    records, ends = [], 0
    while ends < PARTITIONS:
        message = consumer.poll(10)
        assert message is not None, "Kafka gives nothing"
        if message.error():
            ends += 1
            continue
        key, value = message.key(), message.value()
        assert key is not None
        assert value is not None
        records.append((key, value))
    consumer.close()
    return records


def fold(frames: list[OcppFrame]) -> tuple[list[BusinessEvent], dict[bytes, bytes]]:
    rows = MemoryRows()
    events = [event for one in frames for event in reduce(one, rows, Tariffs())]
    return events, {key.encode(): encode_row(row) for key, row in rows.rows.items()}


def by_charge_point(values: list[bytes]) -> dict[str, list[bytes]]:
    """Values in order, without repetitions of an eventId."""
    sorted_out: dict[str, dict[str, bytes]] = {}
    for value in values:
        event = EVENTS.decode(value)
        seen = sorted_out.setdefault(event.client_id, {})
        assert seen.setdefault(event.event_id, value) == value, "one eventId, two contents"
    return {name: list(events.values()) for name, events in sorted_out.items()}


def test_a_killed_worker_loses_nothing_and_repeats_only_equal_events(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.bootstrap_servers, names, PARTITIONS)
    frames = history(charge_points=12, sessions=150)
    records = [(one.client_id, FRAMES.encode(one)) for one in frames]
    expected, rows = fold(frames)
    port, log = free_port(), tmp_path / "worker.log"
    half = len(records) // 2
    with worker(kafka, topic_prefix, port, log) as process:
        eventually(lambda: is_ready(port), f"ready; see {log}")
        append(kafka, names.frames, records[:half])
        eventually(lambda: len(read(kafka, names.events)) > 100, "first events")
        process.kill()
    append(kafka, names.frames, records[half:])
    with worker(kafka, topic_prefix, port, log) as process:
        eventually(
            lambda: (
                sum(map(len, by_charge_point([v for _, v in read(kafka, names.events)]).values()))
                >= len(expected)
            ),
            f"all events; see {log}",
        )
        found = requests.get(f"http://127.0.0.1:{port}/charge-points/CP3", timeout=5).json()
        assert found["connectors"].keys() == {"1"}
        unknown = requests.get(f"http://127.0.0.1:{port}/charge-points/CP99", timeout=5)
        assert unknown.status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    got = by_charge_point([value for _, value in read(kafka, names.events)])
    assert got == by_charge_point([EVENTS.encode(event) for event in expected])
    assert dict(read(kafka, names.connectors_changelog)) == rows


def test_any_worker_answers_for_every_charge_point(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.bootstrap_servers, names, PARTITIONS)
    frames = history(charge_points=12, sessions=1)
    append(kafka, names.frames, [(one.client_id, FRAMES.encode(one)) for one in frames])
    ports = [free_port(), free_port()]

    def rows_held(port: int) -> int:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        found = re.search(r"^chargelog_processor_partitions (\d+)", text, re.MULTILINE)
        return 0 if found is None else int(found[1])

    with (
        worker(kafka, topic_prefix, ports[0], tmp_path / "first.log"),
        worker(kafka, topic_prefix, ports[1], tmp_path / "second.log"),
    ):
        eventually(
            lambda: all(is_ready(port) and rows_held(port) == PARTITIONS / 2 for port in ports),
            f"both workers hold two partitions; see {tmp_path}",
        )
        eventually(lambda: len(read(kafka, names.events)) == 36, "every event")
        for port in ports:
            for number in range(12):
                url = f"http://127.0.0.1:{port}/charge-points/CP{number}"
                assert requests.get(url, timeout=5).json()["clientId"] == f"CP{number}"


def test_poison_goes_to_the_dead_letter_topic_and_the_stream_goes_on(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.bootstrap_servers, names, PARTITIONS)
    good = history(charge_points=1, sessions=1)
    records = [("CP0", b"poison"), *(("CP0", FRAMES.encode(one)) for one in good)]
    append(kafka, names.frames, records)
    port = free_port()
    with worker(kafka, topic_prefix, port, tmp_path / "worker.log"):
        eventually(lambda: len(read(kafka, names.events)) == 3, "the session's events")
        ((key, value),) = read(kafka, names.dead_letter)
        letter = dead_letter_codec().decode(value)
        assert (key, letter.client_id, letter.offset) == (b"CP0", "CP0", 0)
        metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        assert "chargelog_processor_dead_letters_total 1.0" in metrics


def test_a_row_that_cant_be_read_ends_the_worker_with_a_message_that_names_it(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.bootstrap_servers, names, PARTITIONS)
    partition = java_partition(kafka, names.dead_letter, "CP0")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(names.connectors_changelog, b"broken", b"0|CP0", partition=partition)
    assert producer.flush(20) == 0
    append(kafka, names.frames, [("CP0", FRAMES.encode(history(1, 1)[0]))])
    log = tmp_path / "worker.log"
    with worker(kafka, topic_prefix, free_port(), log) as process:
        assert process.wait(40) == 1
    assert "the stored row '0|CP0' can't be read" in log.read_text()


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
