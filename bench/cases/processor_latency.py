"""One frame alone, on an idle processor: from its append to its event at a read_committed consumer.

Milliseconds, so a ratio below 1 is the faster. `textbook-faust` writes without a transaction.
"""

import time
from collections import defaultdict
from statistics import quantiles
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.comparison import report
from bench.race import ContenderError, Program, Run, Track, new_topics, python, running, track
from bench.size import Size
from schemas.codec import frame_codec
from schemas.frames import INBOUND, OcppFrame

_WARM_UP: Final = 5
_PAUSE_S: Final = 0.02
_START_S: Final = 90.0
_ENCODE: Final = frame_codec().encode
_STATUSES: Final = ("Available", "Preparing")


def run(size: Size) -> None:
    """Median and 99th percentile of each contender."""
    count = size.of(300, 5)
    programs = {
        "chargelog": Program(python("processor")),
        "raw-loop": Program(python("bench.contenders.raw_loop")),
    }
    if size.name == "full":
        programs["textbook-faust"] = Program(
            python("bench.contenders.textbook_faust", "worker", "--without-web", "-l", "warn")
        )
    taken: dict[str, list[float]] = defaultdict(list)
    with track(1) as place:
        for _ in range(size.rounds):
            for name, program in programs.items():
                taken[name] += _milliseconds(program, place, count)
    percentiles = {name: quantiles(values, n=100) for name, values in taken.items()}
    for percent in (50, 99):
        figures = {name: values[percent - 1] for name, values in percentiles.items()}
        report(f"processor_latency.p{percent}", "ms", figures, subject="chargelog")


def _milliseconds(program: Program, place: Track, count: int) -> list[float]:
    names = new_topics(place)
    producer = Producer({"bootstrap.servers": place.servers, "linger.ms": 0})
    consumer = Consumer(
        {
            "bootstrap.servers": place.servers,
            "group.id": "bench-latency",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(names.events, 0, OFFSET_BEGINNING)])
    taken = []
    with running(program, names, place) as contender:
        for number in range(_WARM_UP + count):
            begin = time.perf_counter()
            producer.produce(names.frames, _frame(number), "CP1")
            producer.poll(0)
            _wait_for_event(consumer, contender)
            taken.append((time.perf_counter() - begin) * 1000)
            time.sleep(_PAUSE_S)
    consumer.close()
    producer.flush()
    return taken[_WARM_UP:]


def _wait_for_event(consumer: Consumer, contender: Run) -> None:
    end = time.perf_counter() + _START_S
    while time.perf_counter() < end:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            return
        contender.check()
    raise ContenderError("wrote no event", contender)


def _frame(number: int) -> bytes:
    raw = (
        f'[2,"{number}","StatusNotification",'
        f'{{"connectorId":1,"errorCode":"NoError","status":"{_STATUSES[number % 2]}"}}]'
    )
    frame = OcppFrame(
        client_id="CP1",
        received_at_ns=1_767_225_600_000_000_000 + number,
        direction=INBOUND,
        protocol="ocpp1.6",
        kind="CALL",
        message_id=str(number),
        action="StatusNotification",
        raw=raw.encode(),
        connection_id="bench",
    )
    return _ENCODE(frame)
