"""The worker as a process of its own, on a real Kafka; the pure fold says what must come out."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import orjson
import pytest
import requests
from confluent_kafka import Producer
from frames16 import frame
from processor_kit import (
    EVENTS,
    FRAMES,
    PARTITIONS,
    Kafka,
    append,
    by_charge_point,
    eventually,
    fold,
    history,
    is_ready,
    java_partition,
    measured,
    read,
    without_repetitions,
    worker,
)

from devstack.process import free_port
from schemas.codec import dead_letter_codec
from schemas.frames import Kind, OcppFrame
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_killed_worker_loses_nothing(
    kafka: Kafka, topic_prefix: str, tmp_path: Path, guarantee: str
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    frames = history(charge_points=12, sessions=80)
    records = [(one.client_id, FRAMES.encode(one)) for one in frames]
    expected, rows = fold(frames)
    port, log = free_port(), tmp_path / "worker.log"
    half = len(records) // 2
    settings = {"PROCESSOR_GUARANTEE": guarantee, "PROCESSOR_CHUNK_FRAMES": "40"}
    with worker(kafka, topic_prefix, port, log, **settings) as process:
        eventually(lambda: is_ready(port), f"ready; see {log}")
        append(kafka, names.frames, records[:half])
        eventually(lambda: len(read(kafka, names.events)) > 100, "first events")
        process.kill()
    append(kafka, names.frames, records[half:])
    with worker(kafka, topic_prefix, port, log, **settings) as process:
        eventually(
            lambda: (
                len(without_repetitions([value for _, value in read(kafka, names.events)]))
                >= len(expected)
            ),
            f"all events; see {log}",
        )
        found = requests.get(f"http://127.0.0.1:{port}/charge-points/CP3", timeout=5).json()
        assert found["connectors"].keys() == {"1"}
        found = requests.get(f"http://127.0.0.1:{port}/charge-points/CP2", timeout=5).json()
        assert found["connectors"] == {}
        assert found["evses"].keys() == {"1"}
        unknown = requests.get(f"http://127.0.0.1:{port}/charge-points/CP99", timeout=5)
        assert unknown.status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    got = [value for _, value in read(kafka, names.events)]
    if guarantee == "at_least_once":
        got = without_repetitions(got)
    assert by_charge_point(got) == by_charge_point([EVENTS.encode(event) for event in expected])
    assert dict(read(kafka, names.connectors_changelog)) == rows


def test_any_worker_answers_for_every_charge_point(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    frames = history(charge_points=12, sessions=1)
    append(kafka, names.frames, [(one.client_id, FRAMES.encode(one)) for one in frames])
    ports = [free_port(), free_port()]
    with (
        worker(kafka, topic_prefix, ports[0], tmp_path / "first.log"),
        worker(kafka, topic_prefix, ports[1], tmp_path / "second.log"),
    ):
        eventually(
            lambda: all(is_ready(port) and measured(port)["partitions"] == 2 for port in ports),
            f"both workers hold two partitions; see {tmp_path}",
        )
        eventually(lambda: len(read(kafka, names.events)) == len(fold(frames)[0]), "every event")
        for port in ports:
            for number in range(12):
                url = f"http://127.0.0.1:{port}/charge-points/CP{number}"
                assert requests.get(url, timeout=5).json()["clientId"] == f"CP{number}"


def test_workers_that_come_and_die_under_load_lose_and_repeat_nothing(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    frames = history(charge_points=12, sessions=80)
    records = [(one.client_id, FRAMES.encode(one)) for one in frames]
    expected, rows = fold(frames)
    first, second = free_port(), free_port()
    third = len(records) // 3
    few = {"PROCESSOR_CHUNK_FRAMES": "40"}
    append(kafka, names.frames, records[:third])
    with worker(kafka, topic_prefix, first, tmp_path / "first.log", **few) as killed:
        eventually(lambda: len(read(kafka, names.events)) > 100, "first events")
        append(kafka, names.frames, records[third : 2 * third])
        with worker(kafka, topic_prefix, second, tmp_path / "second.log", **few):
            eventually(
                lambda: all(
                    is_ready(port) and measured(port)["partitions"] == 2 for port in (first, second)
                ),
                f"both workers hold two partitions; see {tmp_path}",
            )
            held = measured(first)
            # The rows of the partitions that went away are freed.
            assert len([name for name in held if name.startswith("rows{")]) == 2
            killed.kill()
            append(kafka, names.frames, records[2 * third :])
            eventually(
                lambda: (
                    sum(n for name, n in measured(second).items() if name.startswith("rows{"))
                    == len(rows)
                    and len(read(kafka, names.events)) >= len(expected)
                ),
                f"every event; see {tmp_path}",
            )
            figures = measured(second)
    got = [value for _, value in read(kafka, names.events)]
    assert by_charge_point(got) == by_charge_point([EVENTS.encode(event) for event in expected])
    assert dict(read(kafka, names.connectors_changelog)) == rows
    assert figures["recovery_seconds"] > 0
    assert figures["transaction_seconds_count"] > 0
    assert sum(n for name, n in figures.items() if name.startswith("lag{")) == 0


def test_poison_goes_to_the_dead_letter_topic_and_the_stream_goes_on(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    # The sessions would fill rows beyond what Kafka takes if their idTags were kept whole.
    good = [*history(charge_points=1, sessions=1), *endless_id_tags("CP0", 6)]
    records = [("CP0", b"poison"), *(("CP0", FRAMES.encode(one)) for one in good)]
    append(kafka, names.frames, records)
    expected, rows = fold(good)
    port = free_port()
    with worker(kafka, topic_prefix, port, tmp_path / "worker.log"):
        eventually(lambda: len(read(kafka, names.events)) == len(expected), "all events")
        ((key, value),) = read(kafka, names.dead_letter)
        letter = dead_letter_codec().decode(value)
        assert (key, letter.client_id, letter.offset) == (b"CP0", "CP0", 0)
        assert measured(port)["dead_letters_total"] == 1
    assert dict(read(kafka, names.connectors_changelog)) == rows


def endless_id_tags(client_id: str, sessions: int) -> Iterator[OcppFrame]:
    """Sessions of a charge point that breaks the schema as far as the ingress lets it."""
    tag = "x" * 200_000
    for number in range(1, sessions + 1):
        start = {"connectorId": 2, "idTag": tag, "meterStart": number, "timestamp": None}
        stop = {"transactionId": number, "idTag": tag, "meterStop": 9, "timestamp": None}
        for kind, action, content in (
            ("CALL", "StartTransaction", [2, "m", "StartTransaction", start]),
            ("CALLRESULT", "StartTransaction", [3, "m", {"transactionId": number}]),
            ("CALL", "StopTransaction", [2, "m", "StopTransaction", stop]),
        ):
            yield frame(
                orjson.dumps(content),
                kind=cast("Kind", kind),
                action=action,
                message_id="m",
                direction="inbound" if kind == "CALL" else "outbound",
                client_id=client_id,
            )


def test_a_row_that_cant_be_read_ends_the_worker_with_a_message_that_names_it(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    partition = java_partition(kafka, names.dead_letter, "CP0")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(names.connectors_changelog, b"broken", b"0|CP0", partition=partition)
    assert producer.flush(20) == 0
    append(kafka, names.frames, [("CP0", FRAMES.encode(history(1, 1)[0]))])
    log = tmp_path / "worker.log"
    with worker(kafka, topic_prefix, free_port(), log) as process:
        assert process.wait(90) == 1
    assert "the stored row '0|CP0' can't be read" in log.read_text()
