"""The ingress's benchmark runs, against its peer, with every figure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_ingress_and_a_bare_server_are_compared(kafka: KafkaBroker | ExistingKafka) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "ingress", "--size", "quick"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for figure in (
        "ingress",
        "ingress.40-charge-points.p50",
        "ingress.40-charge-points.p99",
        "ingress.idle-connection",
        "ingress.reconnect-storm",
    ):
        assert f"BENCH {figure}/chargelog " in done.stdout
