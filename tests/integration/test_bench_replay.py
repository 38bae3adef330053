"""The replay's benchmark on Kafka runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_replays_are_compared_with_a_bare_loop_and_a_faust_agent(
    kafka: KafkaBroker | ExistingKafka,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "replay_kafka", "--size", "quick"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
        timeout=220,
    )
    assert done.returncode == 0, done.stderr
    peers = {line.rpartition("vs=")[2] for line in done.stdout.splitlines() if "vs=" in line}
    assert peers == {"counted", "bare-loop", "into-a-topic", "textbook-faust"}
