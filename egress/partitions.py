"""What one assigned partition still owes, and one of its records on the way to MQTT."""

import asyncio

from egress import metrics
from egress.dead_letters import DeadLetters, LogPosition
from egress.routing import Publication
from egress.watermark import Watermark


class Partition:
    """One assignment of one partition; a new assignment gets a new object.

    Attributes:
        revoked: The partition went elsewhere: late acknowledgements mean nothing any more.
        idle: Set while nothing is pending.
        committed: The offset last committed by us.
    """

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.revoked = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.committed: int | None = None
        self._watermark = Watermark()
        self._recorded = 0

    @property
    def to_commit(self) -> int | None:
        """The offset to commit, or None where nothing new is settled."""
        position = self._watermark.position
        return None if position == self.committed else position

    @property
    def unrecorded(self) -> int:
        """Records read whose offsets are not committed: what a kill would have published again."""
        return self._watermark.pending + self._watermark.settled - self._recorded

    def record(self, offset: int, settled: int) -> None:
        """The offset was committed, when so many records were settled."""
        self.committed = offset
        self._recorded = settled

    @property
    def owed_from(self) -> int | None:
        """The first offset that is not settled and committed; None before any was read."""
        return self._watermark.first_pending if self.committed is None else self.committed

    @property
    def settled(self) -> int:
        """Records settled without a gap since the partition was assigned."""
        return self._watermark.settled

    @property
    def pending(self) -> int:
        """Records read and not settled without a gap."""
        return self._watermark.pending

    def add(self, offset: int) -> None:
        """A record was read."""
        self._watermark.add(offset)
        self.idle.clear()

    def settle(self, offset: int) -> None:
        """A record was delivered, or put on the dead letter topic."""
        self._watermark.settle(offset)
        if not self._watermark.pending:
            self.idle.set()


class Record:
    """One record on its way: settled once all that is published of it is."""

    __slots__ = ("_dead_letters", "_left", "_lost", "_partition", "_position")

    def __init__(
        self, partition: Partition, position: LogPosition, dead_letters: DeadLetters, parts: int
    ) -> None:
        self._partition = partition
        self._position = position
        self._dead_letters = dead_letters
        self._left = parts
        self._lost = False

    @property
    def wanted(self) -> bool:
        """Whether the partition is still ours."""
        return not self._partition.revoked

    def acknowledged(self) -> None:
        """The MQTT broker has one part."""
        self._left -= 1
        # A dead letter settles the record itself, when it is durable.
        if not self._left and not self._lost:
            self._partition.settle(self._position.offset)

    def refused(self, reason: str) -> None:
        """The MQTT broker will never take one part: to the dead letter, once, and on."""
        self._left -= 1
        if self.wanted and not self._lost:
            self._lost = True
            self._dead_letters.put(self._position, reason, settled=self._partition.settle)


class Outgoing:
    """One publication of a record; `egress.publisher.Delivery`."""

    __slots__ = ("_record", "publication")

    def __init__(self, publication: Publication, record: Record) -> None:
        self.publication = publication
        self._record = record

    @property
    def wanted(self) -> bool:
        """Whether the partition is still ours."""
        return self._record.wanted

    def acknowledged(self) -> None:
        """The MQTT broker has it."""
        metrics.PUBLISHED.counts[self.publication.stream, self.publication.type] += 1
        self._record.acknowledged()

    def refused(self, reason: str) -> None:
        """The MQTT broker will never take it."""
        self._record.refused(
            f"refused by the MQTT broker, topic {self.publication.topic}: {reason}"
        )
