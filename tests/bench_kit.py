"""Runs of `python -m bench`, for the tests of its cases."""

import os
import subprocess
import sys

from replay_kit import ROOT

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker


def bench(
    *arguments: str, kafka: KafkaBroker | ExistingKafka | None = None
) -> subprocess.CompletedProcess[str]:
    """Run cases to their end.

    Args:
        arguments: Of the command line.
        kafka: The broker for cases that need one.
    """
    servers = {} if kafka is None else {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env={**os.environ, **servers},
        capture_output=True,
        text=True,
        check=False,
    )


def quick(case: str, kafka: KafkaBroker | ExistingKafka | None = None) -> str:
    """What a case prints at its quick size.

    Raises:
        AssertionError: It failed; with all that it said.
    """
    done = bench(case, "--size", "quick", kafka=kafka)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def peers_in(printed: str) -> set[str]:
    """What the figures are compared with."""
    return {line.rpartition("vs=")[2] for line in printed.splitlines() if "vs=" in line}
