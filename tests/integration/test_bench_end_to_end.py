"""The end-to-end benchmark runs, and finds every frame and every event at the subscriber."""

import re

import pytest
from bench_kit import quick

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_it_prints_the_latencies_against_bare_mqtt(kafka: KafkaBroker | ExistingKafka) -> None:
    printed = quick("end_to_end", kafka)
    names = re.findall(r"^BENCH end_to_end/(\S+) [0-9.]+ \S+ ratio=", printed, re.MULTILINE)
    # A machine that is busy enough does not even keep ten frames a second.
    if not names[0].startswith("most-of-"):
        assert names == ["10-frame-p50", "10-frame-p99", "10-event-p50", "10-event-p99"]
    assert len(names) >= 4
