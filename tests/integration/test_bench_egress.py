"""The egress's benchmark against other MQTT clients runs."""

import pytest
from bench_kit import peers_in, quick

pytestmark = [pytest.mark.integration, pytest.mark.mosquitto]


def test_the_clients_are_compared() -> None:
    peers = peers_in(quick("egress_mqtt"))
    assert peers == {"chargelog", "paho-loop_start", "aiomqtt", "mosquitto_pub"}
