"""Prometheus metrics of the egress."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge

PUBLISHED: Final = Counter(
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


_published: Final[dict[tuple[str, str], Callable[[], None]]] = {}


def published(stream: str, type_: str) -> None:
    """Count a publication."""
    # `labels` takes longer than the counting.
    count = _published.get((stream, type_))
    if count is None:
        count = _published[stream, type_] = PUBLISHED.labels(stream, type_).inc
    count()
