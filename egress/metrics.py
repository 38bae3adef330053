"""Prometheus metrics of the egress."""

from typing import Final

from prometheus_client import Counter, Gauge

from runtime.tallies import Tally

PUBLISHED: Final = Tally(
    "chargelog_egress_published",
    "Publications that the MQTT broker acknowledged, by stream and by event type or frame kind",
    ["stream", "type"],
)
RECONNECTS: Final = Counter(
    "chargelog_egress_mqtt_connections_lost", "Connections to the MQTT broker that were lost"
)
RESENT: Final = Counter(
    "chargelog_egress_resent", "Publications sent again after a connection was lost"
)
REFUSED: Final = Counter(
    "chargelog_egress_refused", "Refusals of the MQTT broker, by reason code", ["reason"]
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
