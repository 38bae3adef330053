"""The replay's benchmark on Kafka runs."""

import pytest
from bench_kit import peers_in, quick

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_replays_are_compared_with_a_bare_loop_and_a_faust_agent(
    kafka: KafkaBroker | ExistingKafka,
) -> None:
    peers = peers_in(quick("replay_kafka", kafka))
    assert peers == {"counted", "bare-loop", "into-a-topic", "textbook-faust"}
