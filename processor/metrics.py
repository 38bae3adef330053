"""What the processor counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter("chargelog_processor_frames", "Frames reduced")
EVENTS = Counter("chargelog_processor_events", "Business events written", ["type"])
DEAD_LETTERS = Counter("chargelog_processor_dead_letters", "Frames put on the dead letter topic")
CHUNK_SECONDS = Histogram(
    "chargelog_processor_chunk_seconds", "From reading a chunk to its rows being durable"
)
PARTITIONS = Gauge(
    "chargelog_processor_partitions", "Partitions of the frames that this worker holds"
)
