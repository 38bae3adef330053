"""The processor's benchmark runs, and notices a contender that does something else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.backlog import Backlog
from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PARTITIONS = 2


@pytest.mark.parametrize("case", ["processor", "processor_latency"])
def test_the_processor_and_a_raw_loop_do_the_same_work(
    case: str, kafka: KafkaBroker | ExistingKafka
) -> None:
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bench", case, "--size", "quick"],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"BENCH {case}" in done.stdout
    assert "/chargelog " in done.stdout
    assert " vs=raw-loop\n" in done.stdout


def test_recovery_is_compared_with_faust_s_own(kafka: KafkaBroker | ExistingKafka) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "recovery", "--size", "quick"],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in ("recovery/chargelog", "recovery.memory/chargelog"):
        assert f"BENCH {line} " in done.stdout


class Misdirected(TopicNames, frozen=True):
    """The frames' topic is the events'."""

    @property
    def frames(self) -> str:
        return self.events


def test_missing_or_wrong_events_fail_the_benchmark(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str
) -> None:
    servers, names = kafka.bootstrap_servers, Misdirected(topic_prefix)
    ensure_topics(servers, TopicNames(topic_prefix), PARTITIONS)
    backlog = Backlog.of_new_fleet(2, 100)
    with pytest.raises(AssertionError, match="are missing"):
        backlog.check(servers, names, PARTITIONS, whole=True, within_s=0)
    backlog.append(servers, names)  # frames where events should be
    with pytest.raises(AssertionError, match="wrong events"):
        backlog.check(servers, names, PARTITIONS, whole=False)
