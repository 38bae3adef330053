"""From a charge point's frame to the MQTT subscriber's message, through all services."""

import os
import secrets
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, TypeAlias

from bench.comparison import bench_line
from bench.metering import Due, Subscriber, charge, publish
from bench.size import Size
from devstack import latency
from devstack.settings import StackSettings
from devstack.stack import Ports, Stack

RATES: Final = (10, 1_000, 10_000)
_PEER: Final = "mqtt-direct"
_KEPT: Final = 0.95
"""Share of the pace below which a latency would only say how long the queue was."""
_EASY: Final = 0.7
"""Share of what the machine could do at most that it should do with ease."""
_WARM_UP_S: Final = 1
_NS: Final = 1_000_000_000

Figures: TypeAlias = dict[str, float]


class Way(NamedTuple):
    """How frames get to the subscriber: sent by (rate, seconds, first number)."""

    name: str
    send: Callable[[int, float, int], Due]
    events: bool


def run(size: Size) -> None:
    """Latency at 10, 1,000 and 10,000 frames/s, or as far as this machine keeps the pace.

    Each frame is a MeterValues request. It reaches the subscriber as an OCPP message and as a
    meter_reading, and none may be missing. The peer publishes the same frames straight to the same
    MQTT broker, so the ratio is what the way over ingress, log and processor takes. Where a pace is
    not kept, the most that was is printed, and the latencies at 70 % of that.
    """
    os.environ["TOPIC_PREFIX"] = f"bench-{secrets.token_hex(4)}."
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(StackSettings(), Path(folder), ports=Ports.free())
        with stack, Subscriber(stack.mqtt.host, stack.mqtt_port) as subscriber:
            ways = (
                Way("chargelog", partial(charge, stack.ingress_url), events=True),
                Way(_PEER, partial(publish, (stack.mqtt.host, stack.mqtt_port)), events=False),
            )
            rounds = _Rounds(ways, subscriber, size)
            for rate in RATES[: size.of(len(RATES), 1)]:
                own, peer = rounds.of(rate)
                if own["rate"] < _KEPT * rate:
                    name = f"end_to_end/most-of-{rate}"
                    print(bench_line(name, own["rate"], "frames/s", _PEER, peer["rate"]))
                    rate = int(own["rate"] * _EASY)  # noqa: PLW2901 - the last one
                    _report(rate, *rounds.of(rate))
                    return
                _report(rate, own, peer)


class _Rounds:
    """The ways in turn; every frame of a run has a number of its own."""

    def __init__(self, ways: tuple[Way, ...], subscriber: Subscriber, size: Size) -> None:
        self._ways = ways
        self._subscriber = subscriber
        self._rounds = size.rounds
        self._seconds = size.of(10, 1)
        self._next = 1

    def of(self, rate: int) -> list[Figures]:
        """Medians of each way at this pace."""
        for way in self._ways:
            self._measure(way, rate, _WARM_UP_S)
        found: list[list[Figures]] = [[] for _ in self._ways]
        for _ in range(self._rounds):
            for figures, way in zip(found, self._ways, strict=True):
                figures.append(self._measure(way, rate, self._seconds))
        return [
            {name: median(each[name] for each in figures) for name in figures[0]}
            for figures in found
        ]

    def _measure(self, way: Way, rate: int, seconds: int) -> Figures:
        due = way.send(rate, seconds, self._next)
        self._next += rate * seconds
        arrived = self._subscriber.arrivals(len(due), len(due) if way.events else 0)
        if set(arrived.frames) != set(due) or (way.events and set(arrived.events) != set(due)):
            raise AssertionError(
                f"{way.name} at {rate}/s: of {len(due)} frames {len(arrived.frames)} arrived, and "
                f"{len(arrived.events)} events"
            )
        whole = (max(arrived.frames.values()) - min(due.values())) / _NS
        figures = {"rate": len(due) / max(whole, seconds)}
        for kind, times in (("frame", arrived.frames), ("event", arrived.events)):
            found = latency.of([at - due[number] for number, at in times.items()])
            if found is not None:
                figures |= {f"{kind}-p50": found.p50, f"{kind}-p99": found.p99}
        return figures


def _report(rate: int, own: Figures, peer: Figures) -> None:
    for name in ("frame-p50", "frame-p99", "event-p50", "event-p99"):
        against = peer[name.replace("event", "frame")]
        print(bench_line(f"end_to_end/{rate}-{name}", own[name], "ms", _PEER, against), flush=True)
