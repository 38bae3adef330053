"""Prometheus metrics of the ingress."""

from typing import Final

from prometheus_client import Counter, Gauge

from runtime.tallies import Durations, Tally

CONNECTIONS: Final = Gauge(
    "ingress_connections", "Connections of charge points now, by OCPP version", ["protocol"]
)
REFUSED: Final = Counter(
    "ingress_connections_refused", "Connections that were refused, by reason", ["reason"]
)
REPLACED: Final = Counter(
    "ingress_connections_replaced", "Connections closed for a newer one of the same identity"
)
FRAMES: Final = Tally(
    "ingress_frames",
    "Frames on the log, by direction, kind and action (unknown: none that OCPP has)",
    ["direction", "kind", "action"],
)
VIOLATIONS: Final = Counter(
    "ingress_violations",
    "Inbound frames that break the protocol or a schema, by error code (ignored: one that the "
    "version says to ignore)",
    ["kind", "code"],
)
CALL_ERRORS: Final = Counter(
    "ingress_call_errors", "CALLERRORs and CALLRESULTERRORs to charge points, by code", ["code"]
)
UNAVAILABLE: Final = Counter(
    "ingress_unavailable_answers", "CALLs answered with InternalError because Kafka did not confirm"
)
HELD: Final = Gauge(
    "ingress_held_bytes",
    "Bytes of messages that all connections hold and that are not handled yet (below 4 KiB a "
    "connection is not counted)",
)
OVER_BUDGET: Final = Counter(
    "ingress_connections_over_budget",
    "Connections closed since all together held more than INGRESS_MAX_HELD_BYTES",
)
THROTTLED: Final = Counter(
    "ingress_throttled", "Times that a connection was read slower because it sent too fast"
)
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ANSWER_SECONDS: Final = Durations(
    "ingress_answer_seconds",
    "Time from when a CALL is taken up until its answer is on the log, by action",
    _BUCKETS,
    ["action"],
)
APPEND_SECONDS: Final = Durations(
    "ingress_append_seconds", "Time until Kafka confirmed a record", _BUCKETS
)
NOT_CONFIRMED: Final = Counter(
    "ingress_records_not_confirmed", "Records not confirmed within the limit", ["topic"]
)
COMMANDS: Final = Counter(
    "ingress_commands", "Records on the command results topic, by outcome", ["outcome"]
)
