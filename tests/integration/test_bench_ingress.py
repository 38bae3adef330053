"""The ingress's benchmark runs, against its peer, with every figure."""

import pytest
from bench_kit import quick

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_ingress_and_a_bare_server_are_compared(kafka: KafkaBroker | ExistingKafka) -> None:
    printed = quick("ingress", kafka)
    for figure in (
        "ingress",
        "ingress.40-charge-points.p50",
        "ingress.40-charge-points.p99",
        "ingress.idle-connection",
        "ingress.reconnect-storm",
    ):
        assert f"BENCH {figure}/chargelog " in printed
