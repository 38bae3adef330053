"""What the processor counts, for Prometheus."""

from collections import Counter as tally  # noqa: N813 - prometheus_client's Counter is meant here
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Protocol

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from processor.chunk import ChunkResult

FRAMES = Counter("chargelog_processor_frames", "Frames reduced")
EVENTS = Counter("chargelog_processor_events", "Business events written", ["type"])
DEAD_LETTERS = Counter("chargelog_processor_dead_letters", "Frames put on the dead letter topic")
CHUNK_SECONDS = Histogram(
    "chargelog_processor_chunk_seconds", "From starting on a chunk to its outcome being durable"
)
TRANSACTION_SECONDS = Histogram(
    "chargelog_processor_transaction_seconds", "Of these, writing and committing"
)
RECOVERY_SECONDS = Gauge(
    "chargelog_processor_recovery_seconds", "How long taking partitions over took the last time"
)


def count(frames: int, result: ChunkResult) -> None:
    """Count a chunk that is durable."""
    FRAMES.inc(frames)
    DEAD_LETTERS.inc(len(result.dead_letters))
    # By type first: finding a label costs more than counting.
    for event_type, number in tally(event.event_type for event in result.events).items():
        EVENTS.labels(event_type).inc(number)


class Held(Protocol):
    """A partition, as far as it is measured."""

    @property
    def rows(self) -> Sized:
        """Its rows."""

    @property
    def next_offset(self) -> int:
        """The offset behind the last frame that was committed."""


class HeldCollector(Collector):
    """Gauges of what the worker holds, read when they are asked for."""

    def __init__(self, held: Mapping[int, Held], end_of: Callable[[int], int | None]) -> None:
        self._held = held
        self._end_of = end_of

    def collect(self) -> Iterator[Metric]:
        """The gauges now."""
        held = dict(self._held)
        yield GaugeMetricFamily(
            "chargelog_processor_partitions",
            "Partitions of the frames that this worker holds",
            len(held),
        )
        rows = GaugeMetricFamily(
            "chargelog_processor_rows", "Rows of the table in memory", labels=["partition"]
        )
        lag = GaugeMetricFamily(
            "chargelog_processor_lag",
            "Frames between the last one committed and the partition's end, as of the last fetch",
            labels=["partition"],
        )
        for number, partition in sorted(held.items()):
            rows.add_metric([str(number)], len(partition.rows))
            end = self._end_of(number)
            if end is not None:
                lag.add_metric([str(number)], max(0, end - partition.next_offset))
        yield rows
        yield lag


def watch(held: Mapping[int, Held], end_of: Callable[[int], int | None]) -> None:
    """Add the gauges to the process's metrics.

    Args:
        held: The partitions, as they are at any time.
        end_of: The offset behind a partition's last record, None while unknown.
    """
    REGISTRY.register(HeldCollector(held, end_of))
