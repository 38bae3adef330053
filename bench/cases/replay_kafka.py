"""chargelog-replay on the frames topic, in one process: against a bare loop, and a Faust agent.

The bare confluent-kafka loop consumes the same records, decodes them, runs the same reducer and
counts. The textbook Faust agent reads from earliest and sends its events to a topic, which is what
could be done without a replay; Chargelog's into a topic does the same in transactions.
"""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bench.backlog import Backlog
from bench.comparison import compare
from bench.race import ROOT, Program, Track, frames_per_second, new_topics, python, track
from bench.size import Size
from processor.reducer import reduce
from processor.replay.against import Kafka
from processor.replay.job import ToNowhere
from processor.replay.kafka_source import bounds_of
from processor.replay.run import Request, frames_topic, perform
from processor.state import MemoryRows
from processor.tariff import Tariffs
from runtime.kafka_access import KafkaAccess
from schemas.codec import frame_codec
from schemas.topics import TopicNames

_PARTITIONS: Final = 4
_CHARGE_POINTS: Final = 500
_BATCH: Final = 8192


def run(size: Size) -> None:
    """Frames a second of each contender."""
    with track(_PARTITIONS) as place:
        backlog = Backlog.of_new_fleet(_CHARGE_POINTS, size.of(300_000, 3_000))
        names = new_topics(place)
        backlog.append(place.servers, names)
        compare(
            "replay_kafka",
            "frames/s",
            {"counted": partial(_counted, place, names), "bare-loop": partial(_bare, place, names)},
            subject="counted",
            rounds=size.rounds,
        )
        textbook = Program(
            python("bench.contenders.textbook_faust", "worker", "--without-web", "-l", "warn")
        )
        compare(
            "replay_kafka.into-a-topic",
            "frames/s",
            {
                "into-a-topic": partial(_into_a_topic, place, names),
                "textbook-faust": lambda: frames_per_second(textbook, backlog, place),
            },
            subject="into-a-topic",
            rounds=size.rounds,
        )


def _counted(place: Track, names: TopicNames) -> float:
    request = Request(
        source=frames_topic(KafkaAccess(place.servers), names.frames, None, None),
        target=ToNowhere(),
        lanes=_PARTITIONS,
        processes=1,
    )
    begin = perf_counter()
    tally = perform(request, Kafka(KafkaAccess(place.servers), None), threading.Event()).tally
    return tally.frames / (perf_counter() - begin)


def _bare(place: Track, names: TopicNames) -> float:
    begin = perf_counter()
    bounds = bounds_of(KafkaAccess(place.servers), names.frames)
    left = sum(bound.end - bound.start for bound in bounds.values())
    consumer = Consumer(
        {
            "bootstrap.servers": place.servers,
            "group.id": "bench-bare",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(names.frames, n, b.start) for n, b in bounds.items()])
    rows, tariffs, decode = MemoryRows(), Tariffs(), frame_codec().decode
    frames = events = 0
    while frames < left:
        for message in consumer.consume(_BATCH, 1.0):
            events += len(reduce(decode(message.value() or b""), rows, tariffs))
            frames += 1
    consumer.close()
    assert events
    return frames / (perf_counter() - begin)


def _into_a_topic(place: Track, names: TopicNames) -> float:
    to = new_topics(place)
    variables: Mapping[str, str] = {
        "KAFKA_BOOTSTRAP_SERVERS": place.servers,
        "TOPIC_PREFIX": names.prefix,
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory(prefix="chargelog-bench-") as folder:
        out = f"topic:{to.events}"
        done = subprocess.run(  # noqa: S603 - our own command line
            python("processor.replay", "--out", out, "--processes", "1", "--json"),
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            check=True,
        )
    found = json.loads(done.stdout)
    return float(found["frames"] / found["seconds"])
