"""Kills workers and the broker under load, then counts what was lost: `make soak SOAK=processor`.

The last line states everything that was tried and everything that is wrong; exit code 1 if
anything is. The same seed gives the same load and the same schedule.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

import requests
from confluent_kafka import Consumer, KafkaException, TopicPartition
from processor_fleet import Fleet
from processor_load import Load
from processor_schedule import Step, schedule
from processor_verdict import Verdict, verify

from devstack.kafka import KafkaBroker
from devstack.process import free_port
from devstack.service import Service
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

PARTITIONS: Final = 6
WORKERS: Final = 2
NAMES: Final = TopicNames()
_DRAIN_S: Final = 180.0
_POLL_S: Final = 0.2


class Progress:
    """The group's committed offsets, asked again and again.

    Attributes:
        take_overs: For each SIGKILL, how long until every partition had moved on, in seconds.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": NAMES.processor_app_id,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,  # the broker goes away on purpose
            }
        )
        self._sources = [TopicPartition(NAMES.frames, number) for number in range(PARTITIONS)]
        self._watched: dict[float, dict[int, int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress")
        self.take_overs: list[float] = []

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def watch_take_over(self) -> None:
        """A worker is about to be killed."""
        self._watched[time.monotonic()] = {}

    def left(self) -> int:
        """Records that are not committed yet, over all partitions."""
        committed = self._committed()
        ends = [self._consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in self._sources]
        return sum(end - committed.get(number, 0) for number, end in enumerate(ends))

    def _committed(self) -> dict[int, int]:
        found = self._consumer.committed(self._sources, timeout=10)
        return {tp.partition: max(tp.offset, 0) for tp in found}

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_S):
            if not self._watched:
                continue
            try:
                now = self._committed()
            except KafkaException:
                continue  # the broker is away
            for begin, before in list(self._watched.items()):
                if not before:
                    before.update(now)
                elif all(now[number] > offset for number, offset in before.items()):
                    self.take_overs.append(time.monotonic() - begin)
                    del self._watched[begin]


def do(step: Step, fleet: Fleet, broker: KafkaBroker, progress: Progress) -> None:
    """One step of the schedule."""
    if step.deed == "kill":
        if not fleet.is_one_paused:  # whose own session would have to expire as well
            progress.watch_take_over()
        fleet.kill(step.pick)
    elif step.deed == "term":
        fleet.term(step.pick)
    elif step.deed == "pause":
        fleet.pause(step.pick, step.seconds)
    elif step.deed == "add":
        fleet.add()
    elif step.deed == "remove":
        fleet.remove(step.pick)
    else:
        if step.deed == "broker_stop":
            broker.stop()
        else:
            broker.kill()
        time.sleep(step.seconds)
        broker.start()


def restored_wrong(directory: Path, variables: dict[str, str], verdict: Verdict) -> int:
    """Charge points for which a fresh worker, that restores everything, answers wrongly."""
    port = free_port()
    own = {"PROCESSOR_WEB_PORT": str(port), "PROCESSOR_CANONICAL_HOST": "localhost"}
    with Service("processor", directory / "fresh", port, variables | own):
        answers = {
            client_id: requests.get(
                f"http://127.0.0.1:{port}/charge-points/{client_id}", timeout=10
            )
            for client_id in verdict.charge_points
        }
    return sum(
        not answer.ok or answer.json() != verdict.charge_points[client_id]
        for client_id, answer in answers.items()
    )


def drained(progress: Progress) -> int:
    """Records that are still not committed after waiting for them."""
    end = time.monotonic() + _DRAIN_S
    while (left := progress.left()) and time.monotonic() < end:
        time.sleep(1)
    return left


def run(directory: Path, *, seed: int, duration: float, rate: int, charge_points: int) -> bool:
    """The soak; whether everything is as it must be."""
    steps = schedule(seed, duration)
    with KafkaBroker(directory / "kafka") as broker:
        ensure_topics(broker.access, NAMES, PARTITIONS)
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "PARTITIONS": str(PARTITIONS),
            "TOPIC_PREFIX": NAMES.prefix,
        }
        fleet = Fleet(directory, variables)
        progress = Progress(broker.bootstrap_servers)
        load = Load(
            broker.bootstrap_servers, NAMES, rate=rate, charge_points=charge_points, seed=seed
        )
        fleet.start(WORKERS)
        load.start()
        progress.start()
        begin = time.monotonic()
        for step in steps:
            time.sleep(max(0.0, begin + step.at - time.monotonic()))
            print(f"{time.monotonic() - begin:5.0f} s  {step.deed}", flush=True)
            do(step, fleet, broker, progress)
        time.sleep(max(0.0, begin + duration - time.monotonic()))
        load.stop()
        left = drained(progress)
        progress.stop()
        fleet.stop()
        verdict = verify(broker.bootstrap_servers, NAMES, PARTITIONS)
        wrong = restored_wrong(directory, variables, verdict)
    deeds = Counter(step.deed for step in steps)
    slowest = max(progress.take_overs, default=0.0)
    print(f"ended by themselves: {dict(fleet.ends)}; paused: {dict(fleet.zombies)}")
    print(f"take-overs after a SIGKILL: {[round(one, 1) for one in progress.take_overs]} s")
    events, letters = verdict.event_difference, verdict.letter_difference
    print(
        f"SOAK processor seed={seed} seconds={duration:.0f} frames={verdict.frames} "
        f"events={verdict.events} dead_letters={verdict.dead_letters} "
        f"{' '.join(f'{deed}={number}' for deed, number in deeds.items())} "
        f"fenced={fleet.ends['FencedError']} slowest_take_over={slowest:.1f} unprocessed={left} "
        f"lost={events.lost + letters.lost} duplicated={events.duplicated + letters.duplicated} "
        f"out_of_order={events.out_of_order + letters.out_of_order} "
        f"different={events.different + letters.different} "
        f"unexpected={events.unexpected + letters.unexpected} "
        f"rows_different={verdict.rows_different} restored_wrong={wrong}",
        flush=True,
    )
    return verdict.events > 0 and not (left or events or letters or verdict.rows_different or wrong)


def main() -> int:
    """Run it; 1 if anything is wrong, and then the logs are kept."""
    parser = argparse.ArgumentParser(prog="processor_soak", description=__doc__)
    parser.add_argument("--duration", type=float, default=300, help="seconds under load")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1500, help="frames a second")
    parser.add_argument("--charge-points", type=int, default=200)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="chargelog-soak-"))
    is_right = False
    try:
        is_right = run(
            directory,
            seed=arguments.seed,
            duration=arguments.duration,
            rate=arguments.rate,
            charge_points=arguments.charge_points,
        )
    finally:
        if is_right:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"the logs are in {directory}", file=sys.stderr)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
