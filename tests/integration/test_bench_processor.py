"""The processor's benchmark runs, and notices a contender that does something else."""

import pytest
from bench_kit import quick

from bench.backlog import Backlog
from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from runtime.kafka_access import KafkaAccess
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PARTITIONS = 2


@pytest.mark.parametrize("case", ["processor", "processor_latency"])
def test_the_processor_and_a_raw_loop_do_the_same_work(
    case: str, kafka: KafkaBroker | ExistingKafka
) -> None:
    printed = quick(case, kafka)
    assert f"BENCH {case}" in printed
    assert "/chargelog " in printed
    assert " vs=raw-loop\n" in printed


def test_recovery_is_compared_with_faust_s_own(kafka: KafkaBroker | ExistingKafka) -> None:
    printed = quick("recovery", kafka)
    for line in ("recovery/chargelog", "recovery.memory/chargelog"):
        assert f"BENCH {line} " in printed


class Misdirected(TopicNames, frozen=True):
    """The frames' topic is the events'."""

    @property
    def frames(self) -> str:
        return self.events


def test_missing_or_wrong_events_fail_the_benchmark(
    kafka: KafkaBroker | ExistingKafka, topic_prefix: str
) -> None:
    servers, names = kafka.bootstrap_servers, Misdirected(topic_prefix)
    ensure_topics(KafkaAccess(servers), TopicNames(topic_prefix), PARTITIONS)
    backlog = Backlog.of_new_fleet(2, 100)
    with pytest.raises(AssertionError, match="are missing"):
        backlog.check(servers, names, PARTITIONS, whole=True, within_s=0)
    backlog.append(servers, names)  # frames where events should be
    with pytest.raises(AssertionError, match="wrong events"):
        backlog.check(servers, names, PARTITIONS, whole=False)
