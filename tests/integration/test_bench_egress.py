"""The egress's benchmark against other MQTT clients runs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.mosquitto]


def test_the_clients_are_compared() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "egress_mqtt", "--size", "quick"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    peers = {line.rpartition("vs=")[2] for line in done.stdout.splitlines() if "vs=" in line}
    assert peers == {"chargelog", "paho-loop_start", "aiomqtt", "mosquitto_pub"}
