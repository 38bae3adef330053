"""Prometheus metrics of the egress."""

from typing import Final

from prometheus_client import Counter, Gauge

ACKNOWLEDGED: Final = Counter(
    "chargelog_egress_acknowledged", "Publications that the MQTT broker acknowledged"
)
RECONNECTS: Final = Counter(
    "chargelog_egress_mqtt_connections_lost", "Connections to the MQTT broker that were lost"
)
RESENT: Final = Counter(
    "chargelog_egress_resent", "Publications sent again after a connection was lost"
)
CONNECTED: Final = Gauge("chargelog_egress_mqtt_connected", "1 while connected to the MQTT broker")
IN_FLIGHT: Final = Gauge("chargelog_egress_in_flight", "Publications sent and not acknowledged")
DEAD_LETTERS: Final = Counter(
    "chargelog_egress_dead_letters", "Records put on the dead letter topic", ["topic"]
)
LAG: Final = Gauge(
    "chargelog_egress_lag",
    "Records between the committed offset and the log's end",
    ["topic", "partition"],
)
