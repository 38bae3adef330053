"""Stops Kafka and kills the ingress under charge points that retry: `make soak SOAK=ingress`.

Two instances, a Kafka of its own, charge points that hop between the instances and send everything
again until it is acknowledged. Kafka is stopped, killed, paused, its disk is filled until it ends
by itself, and it is made to refuse records (too few in-sync replicas, as when a cluster's other
brokers are down); instances are killed and terminated. Then what the charge points were told is
compared with the log. The last line states what was tried and what is wrong; exit code 1 if
anything is. The same seed gives the same schedule.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ names no __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from ingress_charge_points import ChargePoint
from ingress_verdict import Verdict, decode, verify
from kafka_log import committed_records, key_and_value

from devstack.errors import StartError
from devstack.kafka import KafkaBroker
from devstack.process import free_port
from devstack.service import Service
from schemas.frames import OcppFrame
from schemas.topics import TopicNames

_CHARGE_POINTS: Final = 16
_INSTANCES: Final = 2
_PARTITIONS: Final = 4
_KAFKA_TIMEOUT_S: Final = 2
_CALM_S: Final = (1.0, 3.0)
_FAULT_S: Final = (1.0, 5.0)
_ROOM_BYTES: Final = 2000
"""What the disk may still take; a batch of frames is of that size."""
_DISK_FAILURE_S: Final = 60.0
_HALTED: Final = 1
_END_S: Final = 180.0
"""For the charge points to finish their sessions once all is well again."""


class Installation:
    """A broker and the ingress's instances, and what can be done to them."""

    def __init__(self, directory: Path, broker: KafkaBroker, dice: random.Random) -> None:
        self._broker = broker
        self._dice = dice
        self.ports = [free_port() for _ in range(_INSTANCES)]
        self._instances = [
            self._instance(directory / str(number), port) for number, port in enumerate(self.ports)
        ]
        self.deeds: Mapping[str, Callable[[float], None]] = {
            "kafka stopped": self._stop_kafka,
            "kafka killed": self._kill_kafka,
            "kafka paused": self._pause_kafka,
            "kafka refusing": self._refuse,
            "kafka's disk full": self.fill_disk,
            "ingress killed": self._kill_ingress,
            "ingress terminated": self._terminate_ingress,
        }

    def start(self) -> None:
        """Start the instances."""
        for instance in self._instances:
            instance.start()

    def crashed(self) -> list[str]:
        """What the log of each instance that ended by itself says."""
        return [i.log_tail() for i in self._instances if not i.running]

    def stop(self) -> None:
        """Stop them."""
        for instance in self._instances:
            instance.close()

    def _instance(self, directory: Path, port: int) -> Service:
        ops_port = free_port()
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self._broker.bootstrap_servers,
            "KAFKA_TIMEOUT_S": str(_KAFKA_TIMEOUT_S),
            "PARTITIONS": str(_PARTITIONS),
            "INGRESS_PORT": str(port),
            "INGRESS_OPS_PORT": str(ops_port),
            "LOG_LEVEL": "error",
        }
        service = Service("ingress", directory, ops_port, variables)
        service.start_timeout = 120.0
        return service

    def _stop_kafka(self, seconds: float) -> None:
        self._broker.stop()
        time.sleep(seconds)
        self._broker.start()

    def _kill_kafka(self, seconds: float) -> None:
        self._broker.kill()
        time.sleep(seconds)
        self._broker.start()

    def _pause_kafka(self, seconds: float) -> None:
        self._broker.pause()
        time.sleep(seconds)
        self._broker.resume()

    def fill_disk(self, seconds: float) -> None:
        """Kafka's disk fills up in the middle of a batch, and after some seconds has room again.

        Raises:
            StartError: The broker did not end with exit code 1.
            subprocess.TimeoutExpired: It did not end at all.
        """
        self._broker.fill_disk(self._dice.randrange(_ROOM_BYTES))
        code = self._broker.wait_ended(_DISK_FAILURE_S)
        if code != _HALTED:
            raise StartError(f"Kafka ended with {code}, not as on a full disk")
        time.sleep(seconds)
        self._broker.start()

    def _refuse(self, seconds: float) -> None:
        # NotEnoughReplicas is what a cluster answers whose followers are down.
        self._set_min_isr(2)
        time.sleep(seconds)
        self._set_min_isr(1)

    def _set_min_isr(self, number: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap_servers})
        names = TopicNames("")
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(
                        "min.insync.replicas",
                        str(number),
                        incremental_operation=AlterConfigOpType.SET,
                    )
                ],
            )
            for topic in (names.frames, names.transaction_ids)
        ]
        for future in admin.incremental_alter_configs(resources).values():
            future.result(60)

    def _kill_ingress(self, seconds: float) -> None:
        instance = self._dice.choice(self._instances)
        instance.kill()
        time.sleep(seconds)
        instance.start()

    def _terminate_ingress(self, seconds: float) -> None:
        instance = self._dice.choice(self._instances)
        instance.stop()
        time.sleep(seconds)
        instance.start()


async def soak(
    installation: Installation, duration: float, seed: str
) -> tuple[list[ChargePoint], Counter[str]]:
    """Charge points at work while things are done to the installation, one after another."""
    ended = False
    dice = random.Random(seed)  # noqa: S311 - a seed is to repeat a run
    charge_points = [
        ChargePoint(f"SOAK-{number}", installation.ports, seed) for number in range(_CHARGE_POINTS)
    ]
    done: Counter[str] = Counter()
    until = time.monotonic() + duration
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cp.run(lambda: ended)) for cp in charge_points]
        order: list[str] = []
        while time.monotonic() < until:
            await asyncio.sleep(dice.uniform(*_CALM_S))
            order = order or dice.sample(sorted(installation.deeds), len(installation.deeds))
            deed = order.pop()
            await asyncio.to_thread(installation.deeds[deed], dice.uniform(*_FAULT_S))
            done[deed] += 1
        ended = True
        async with asyncio.timeout(_END_S):
            await asyncio.wait(tasks)
    return charge_points, done


def read_log(bootstrap_servers: str) -> list[OcppFrame]:
    """Every frame, each partition in order."""
    records = committed_records(bootstrap_servers, TopicNames("").frames)
    return [decode(key_and_value(record)[1]) for record in records]


def report(
    charge_points: Sequence[ChargePoint], done: Counter[str], frames: int, verdict: Verdict
) -> str:
    """The last line."""
    records = [charge_point.record for charge_point in charge_points]
    tried = ", ".join(f"{deed} {count}" for deed, count in sorted(done.items()))
    wrong = ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in verdict._asdict().items()
    )
    return (
        f"ingress soak: {tried}; {sum(r.attempts for r in records):,} attempts on "
        f"{sum(r.connections for r in records):,} connections, "
        f"{sum(r.errors for r in records):,} answered with an error, "
        f"{sum(len(r.acknowledged) for r in records):,} acknowledged, "
        f"{sum(len(r.sessions) for r in records):,} sessions, {frames:,} frames on the log; {wrong}"
    )


def main() -> int:
    """1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--duration", type=float, default=300.0, help="seconds of faults")
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    dice = random.Random(f"instances/{arguments.seed}")  # noqa: S311 - a seed is to repeat a run
    with (
        tempfile.TemporaryDirectory(prefix="chargelog-soak-") as directory,
        KafkaBroker(Path(directory) / "kafka") as broker,
    ):
        installation = Installation(Path(directory), broker, dice)
        try:
            installation.start()
            charge_points, done = asyncio.run(
                soak(installation, arguments.duration, arguments.seed)
            )
            crashed = installation.crashed()
        except StartError as error:
            print(f"the soak could not go on: {error}", file=sys.stderr)
            return 1
        finally:
            installation.stop()
        frames = read_log(broker.bootstrap_servers)
    verdict = verify(
        frames,
        [a for charge_point in charge_points for a in charge_point.record.acknowledged],
        [s for charge_point in charge_points for s in charge_point.record.sessions],
    )
    for text in crashed:
        print(f"an instance ended by itself: {text}")
    print(report(charge_points, done, len(frames), verdict))
    return 1 if any(verdict) or crashed else 0


if __name__ == "__main__":
    sys.exit(main())
