"""`chargelog-replay` on a real Kafka: against live workers, and stopped in the middle."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka import Message, Producer
from kafka_log import committed_records
from processor_kit import (
    EVENTS,
    FRAMES,
    PARTITIONS,
    Kafka,
    append,
    eventually,
    fold,
    history,
    is_ready,
    worker,
)
from replay_kit import command, environment, fleet, replay, write_export

from devstack.process import free_port
from processor.replay import cluster
from processor.replay.errors import ReplayError
from processor.replay.kafka_source import bounds_of
from processor.replay.lanes import lane_of
from runtime.kafka import JAVA_PARTITIONER
from runtime.kafka_access import KafkaAccess
from schemas.frames import OcppFrame
from schemas.headers import event_headers
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = pytest.mark.integration

LONG = 20_000


class Record(NamedTuple):
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | str | None]]


class Place(NamedTuple):
    """An installation's topics, and the folder that runs are started in."""

    kafka: Kafka
    names: TopicNames
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOPIC_PREFIX": self.names.prefix,
            "PARTITIONS": str(PARTITIONS),
            "REPLAY_CHECKPOINT_SECONDS": "0.05",
        }

    def replay(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return replay(*arguments, cwd=self.folder, **self.variables)

    def records(self, topic: str) -> list[Record]:
        """What readers of committed records see, partition after partition."""
        return [record_of(one) for one in committed_records(self.kafka.bootstrap_servers, topic)]


def record_of(one: Message) -> Record:
    number, headers = one.partition(), one.headers() or []
    assert number is not None
    assert isinstance(headers, list)
    return Record(number, one.key(), one.value(), headers)


def expected_records(frames: list[OcppFrame]) -> list[Record]:
    """What the pure fold says must be on the events topic."""
    events, _ = fold(frames)
    records = [
        Record(
            lane_of(event.client_id, PARTITIONS),
            event.client_id.encode(),
            EVENTS.encode(event),
            event_headers(event),
        )
        for event in events
    ]
    return sorted(records, key=lambda record: record.partition)


@pytest.fixture
def place(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> Place:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, PARTITIONS)
    return Place(kafka, names, tmp_path)


@pytest.fixture(scope="module")
def long(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A history that takes long enough to be stopped in the middle."""
    names = TopicNames(f"test-{uuid4().hex[:12]}.")
    ensure_topics(kafka.access, names, PARTITIONS)
    frames = fleet(40, LONG)
    append(kafka, names.frames, [(one.client_id, FRAMES.encode(one)) for one in frames])
    return Place(kafka, names, tmp_path_factory.mktemp("long"))


def test_a_replay_writes_what_live_workers_wrote_while_they_were_killed(
    place: Place, tmp_path: Path
) -> None:
    kafka, names = place.kafka, place.names
    frames = history(charge_points=12, sessions=60)
    poison = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    poison.produce(names.frames, b"no frame", b"CP1", partition=lane_of("CP1", PARTITIONS))
    assert poison.flush(20) == 0
    log, half = tmp_path / "worker.log", len(frames) // 2
    live = expected_records(frames)
    with worker(kafka, names.prefix, port := free_port(), log, PROCESSOR_CHUNK_FRAMES="40") as one:
        eventually(lambda: is_ready(port), f"ready; see {log}")
        append(kafka, names.frames, [(f.client_id, FRAMES.encode(f)) for f in frames[:half]])
        eventually(lambda: len(place.records(names.events)) > 50, f"events; see {log}")
        one.kill()
    append(kafka, names.frames, [(f.client_id, FRAMES.encode(f)) for f in frames[half:]])
    with worker(kafka, names.prefix, free_port(), log):
        eventually(lambda: len(place.records(names.events)) >= len(live), f"all; see {log}")
        again = f"topic:{names.prefix}again"
        done = place.replay("--out", again, "--processes", "2", "--json")
        assert done.returncode == 4, done.stderr
        assert json.loads(done.stdout)["rejected"] == {"frame indigestible": 1}
        listed = (place.folder / "replay.rejects").read_text()
        assert listed.startswith(f"{names.frames}[{lane_of('CP1', PARTITIONS)}]@0: ")
        assert listed.endswith(": no frame\n")
    found = place.records(names.events)
    assert found == live
    assert place.records(f"{names.prefix}again") == found
    same = place.replay("--diff", f"topic:{names.events}", "--json")
    compared = json.loads(same.stdout)["differences"]
    assert (compared["same"], compared["changed"]) == (len(live), 0)
    assert (compared["added"], compared["removed"]) == (0, 0)


def test_an_export_gives_the_events_of_the_topic_and_is_always_the_same(place: Place) -> None:
    frames = fleet(10, 2_000)
    append(place.kafka, place.names.frames, [(f.client_id, FRAMES.encode(f)) for f in frames])
    for suffix in ("jsonl.zst", "avro"):
        export, again = f"frames.{suffix}", f"again.{suffix}"
        for name in (export, again):
            assert place.replay("export", name).returncode == 0
        assert (place.folder / export).read_bytes() == (place.folder / again).read_bytes()
        done = place.replay(export, "--out", f"file-{suffix}.avro", "--processes", "2")
        assert done.returncode == 0, done.stderr
    done = place.replay("--out", "topic.avro", "--processes", "2")
    assert done.returncode == 0, done.stderr
    of_topic = (place.folder / "topic.avro").read_bytes()
    assert (place.folder / "file-jsonl.zst.avro").read_bytes() == of_topic
    assert (place.folder / "file-avro.avro").read_bytes() == of_topic


def test_a_run_into_a_topic_that_was_killed_and_resumed_writes_each_event_once(
    long: Place,
) -> None:
    for attempt in range(3):
        topic = f"{long.names.prefix}cut-{attempt}"
        arguments = ("--out", f"topic:{topic}", "--processes", "2")
        if stopped_in_the_middle(arguments, long, long.folder / f"{topic}.replay"):
            break
    else:
        pytest.fail("it ended each time before it could be stopped")
    done = long.replay(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert long.records(topic) == expected_records(fleet(40, LONG))


def stopped_in_the_middle(arguments: tuple[str, ...], place: Place, folder: Path) -> bool:
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command(*arguments), cwd=place.folder, env=environment(place.variables)
    ) as process:
        end = time.monotonic() + 90
        while not _has_rows(folder) and process.poll() is None:
            assert time.monotonic() < end, "it did not begin"
            time.sleep(0.002)
        process.kill()
    return (folder / "job.json").exists()


def _has_rows(folder: Path) -> bool:
    empty, sizes = 20_000, [0]
    for path in folder.glob("lane-*.sqlite"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes) > empty


def test_a_replay_never_goes_into_a_topic_that_others_write(place: Place) -> None:
    frames = history(charge_points=4, sessions=2)
    append(place.kafka, place.names.frames, [(one.client_id, FRAMES.encode(one)) for one in frames])
    live = place.replay("--out", f"topic:{place.names.events}")
    assert live.returncode == 2
    assert "its consumers would see every event twice" in live.stderr
    used = f"topic:{place.names.prefix}used"
    assert place.replay("--out", used).returncode == 0
    again = place.replay("--out", used)
    assert again.returncode == 2
    assert "holds records already" in again.stderr


def test_a_replay_of_the_topic_as_it_was_reads_no_further(place: Place) -> None:
    frames = fleet(10, 2_000)
    early, late = frames[:1_200], frames[1_200:]
    time_ms = 1_700_000_000_000  # of Kafka, not of the frames
    producer = Producer(
        {
            "bootstrap.servers": place.kafka.bootstrap_servers,
            "partitioner": JAVA_PARTITIONER,
            # Without it a batch that is tried again lands behind the one after it, and is late.
            "enable.idempotence": True,
        }
    )
    for part, when in ((early, time_ms - 1), (late, time_ms)):
        for one in part:
            producer.produce(
                place.names.frames, FRAMES.encode(one), one.client_id.encode(), timestamp=when
            )
    assert producer.flush(60) == 0
    for as_of, expected in (("2023-11-14T22:13:20Z", early), ("2023-11-14T22:13:21Z", frames)):
        done = place.replay("--as-of", as_of, "--out", "as-of.avro", "--overwrite", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["frames"] == len(expected)
        exported = place.replay("export", "as-of.jsonl", "--as-of", as_of, "--overwrite")
        assert exported.returncode == 0, exported.stderr
        assert (place.folder / "as-of.jsonl").read_bytes().count(b"\n") == len(expected)
    before = place.replay("--as-of", "2023-01-01T00:00:00Z", "--json")
    assert (before.returncode, json.loads(before.stdout)["frames"]) == (0, 0)
    useless = place.replay("as-of.jsonl", "--as-of", "2023-01-01T00:00:00Z")
    assert (useless.returncode, "no use with log files" in useless.stderr) == (2, True)


def test_a_missing_topic_is_named(place: Place) -> None:
    done = place.replay("--topic", "nowhere")
    assert (done.returncode, "there is no topic nowhere on" in done.stderr) == (3, True)


@pytest.mark.parametrize("arguments", [(), ("import", "a"), ("export", "b.jsonl")])
def test_a_kafka_that_refuses_is_named_at_once(arguments: tuple[str, ...], tmp_path: Path) -> None:
    write_export(tmp_path / "a", fleet(1, 10))
    done = replay(*arguments, cwd=tmp_path, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 3
    assert done.stderr == (
        "chargelog-replay: Kafka at 127.0.0.1:1 does not answer (Connect to ipv4#127.0.0.1:1 "
        "failed: Connection refused); start it or correct KAFKA_BOOTSTRAP_SERVERS\n"
    )


def test_a_kafka_that_says_nothing_is_waited_for_in_sight(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "_TIMEOUT_S", 2.0)  # as it is, that is a quarter of a minute
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ReplayError, match=f"Kafka at {servers} does not answer"):
            bounds_of(KafkaAccess(servers), "any")
    assert capsys.readouterr().err == f"waiting for Kafka at {servers}, which gives no answer\n"


def test_an_import_is_seen_downstream_once_however_often_it_is_done(place: Place) -> None:
    frames = fleet(10, 2_000)
    write_export(place.folder / "frames.jsonl", frames)
    write_export(place.folder / "first-half.jsonl", frames[:1_000])
    for path, new in (("first-half.jsonl", 1_000), ("frames.jsonl", 1_000), ("frames.jsonl", 0)):
        done = place.replay("import", path, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["frames"] == new
        assert found["alreadyThere"] + new == (1_000 if path == "first-half.jsonl" else 2_000)
    with worker(place.kafka, place.names.prefix, free_port(), place.folder / "worker.log"):
        events = expected_records(frames)
        eventually(lambda: len(place.records(place.names.events)) >= len(events), "every event")
    assert place.records(place.names.events) == events


def test_an_import_that_was_killed_is_completed_by_the_next(place: Place) -> None:
    frames = fleet(40, LONG)
    export = write_export(place.folder / "frames.jsonl", frames)
    names = place.names
    topic = (place.kafka.access, names.frames)
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command("import", export), cwd=place.folder, env=environment(place.variables)
    ) as process:
        end = time.monotonic() + 90
        # More than a transaction holds, so that one is committed.
        while sum(bound.end for bound in bounds_of(*topic).values()) < LONG / 2:
            assert time.monotonic() < end, "it did not begin"
        os.kill(process.pid, signal.SIGKILL)
    done = place.replay("import", export, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] + found["alreadyThere"] == LONG
    assert found["alreadyThere"] > 0

    expected = [(lane_of(one.client_id, PARTITIONS), FRAMES.encode(one)) for one in frames]
    records = place.records(names.frames)
    assert [(record.partition, record.value) for record in records] == sorted(
        expected, key=lambda pair: pair[0]
    )
