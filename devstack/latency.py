"""How long a charge point's frame takes to the MQTT subscriber. Pure: times in, figures out.

All clocks are this machine's. The message of a frame is found by its requestId, and counted from
before the frame was written to the websocket. An event is counted from the receipt of the frame
that caused it, which its eventId holds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from devstack.verdict import MqttMessage

_NS_PER_MS: Final = 1_000_000


class Arrival(NamedTuple):
    """A message, and when the subscriber had it (Unix ns)."""

    message: MqttMessage
    at_ns: int


class Latency(NamedTuple):
    """Percentiles in milliseconds."""

    p50: float
    p99: float


def of(durations_ns: Sequence[int]) -> Latency | None:
    """The percentiles (nearest rank), or None where there is nothing to take them of."""
    if not durations_ns:
        return None
    ordered = sorted(durations_ns)

    def rank(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1] / _NS_PER_MS

    return Latency(rank(0.5), rank(0.99))


def of_frames(arrivals: Iterable[Arrival], sent: Mapping[tuple[str, str], int]) -> Latency | None:
    """From a charge point's request to its message.

    Args:
        arrivals: What came.
        sent: Identity and requestId → when it was sent (Unix ns).
    """
    durations = []
    for arrival in arrivals:
        if arrival.message.topic.startswith("ocpp/messages/"):
            frame = orjson.loads(arrival.message.payload)
            at = sent.get((frame["clientId"], frame["requestId"]))
            if at is not None and frame["direction"] == "inbound":
                durations.append(arrival.at_ns - at)
    return of(durations)


def of_events(arrivals: Iterable[Arrival]) -> Latency | None:
    """From the receipt of the causing frame to the event's message."""
    durations = []
    for arrival in arrivals:
        if arrival.message.topic.startswith("csms/"):
            event_id = orjson.loads(arrival.message.payload)["eventId"]
            durations.append(arrival.at_ns - int(event_id.rpartition("_")[2]))
    return of(durations)
