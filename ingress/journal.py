"""The log of record as the ingress sees it: frames go on, in order per connection."""

from ingress.durable import DurableProducer, Settled
from ingress.metrics import FRAMES, VIOLATIONS
from ingress.protocol.versions import action_label
from schemas.codec import Codec
from schemas.frames import INBOUND, OcppFrame
from schemas.headers import frame_headers


class Journal:
    """Writes `ocpp.frames`.

    Args:
        producer: Shared with whatever else writes.
        topic: Full name of the frames topic.
        codec: Frames ⇄ bytes.
    """

    def __init__(self, producer: DurableProducer, topic: str, codec: Codec[OcppFrame]) -> None:
        self._producer = producer
        self._topic = topic
        self._codec = codec

    def append_then(self, frame: OcppFrame, settled: Settled) -> None:
        """As the producer's; whoever is told that the frame is durable calls `count`."""
        self._producer.append_then(
            self._topic,
            frame.client_id.encode(),
            self._codec.encode(frame),
            frame_headers(frame),
            settled,
        )

    async def append(self, frame: OcppFrame) -> None:
        """Return once the frame is durable.

        Raises:
            NotDurableError: Kafka did not confirm within the limit; the frame may arrive later.
        """
        await self._producer.append(
            self._topic,
            frame.client_id.encode(),
            self._codec.encode(frame),
            frame_headers(frame),
        )
        count(frame)

    async def append_patiently(self, frame: OcppFrame) -> None:
        """As `append`, but waits for as long as it takes.

        For frames that get no answer: their sender would never send them again.
        """
        await self._producer.append_patiently(
            self._topic,
            frame.client_id.encode(),
            self._codec.encode(frame),
            frame_headers(frame),
        )
        count(frame)


def count(frame: OcppFrame) -> None:
    """A frame is on the log, for the metrics."""
    FRAMES.counts[frame.direction, frame.kind, action_label(frame.action)] += 1
    if frame.violation is not None and frame.direction == INBOUND:
        code = frame.violation.partition(":")[0]
        VIOLATIONS.labels(frame.kind, code if code.isidentifier() else "ignored").inc()
