"""The end-to-end benchmark runs, and finds every frame and every event at the subscriber."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]


def test_it_prints_the_latencies_against_bare_mqtt(kafka: KafkaBroker | ExistingKafka) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "end_to_end", "--size", "quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = re.findall(r"^BENCH end_to_end/(\S+) [0-9.]+ \S+ ratio=", done.stdout, re.MULTILINE)
    # A machine that is busy enough does not even keep ten frames a second.
    if not names[0].startswith("most-of-"):
        assert names == ["10-frame-p50", "10-frame-p99", "10-event-p50", "10-event-p99"]
    assert len(names) >= 4
