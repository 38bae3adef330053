"""Faust's consumer on aiokafka, delivering what was fetched as a whole.

Faust pays some 4 tasks and 11 callbacks for a message. Here a message is all that one fetch brought
of one partition, so that this is paid once a chunk. What is overridden, of faust-streaming 0.15.3;
tests/unit/test_faust_internals.py tells when it has changed:

    here                                  why
    ChunkThread._fetch_records            the records of a partition become one
    ChunkThread.seek_to_committed         to know from which offset was read; and aiokafka seeks
                                          nothing where no offset is committed yet, so that what
                                          was fetched and thrown away in a rebalance stayed lost
    ChunkThread.on_partitions_assigned    the same, for a new assignment
    ChunkThread._create_worker_consumer   read_committed without Faust's own transactions, with
                                          which alone Faust sets it; and a shorter wait for
                                          records
    ChunkConsumer._to_message             makes a message of a chunk
    ChunkConsumer.verify_event_path       it reports every paused changelog partition as stalled
    LightRecords._consumer_record         aiokafka's record is a frozen dataclass of eleven fields,
                                          a sixth of the worker's time; ours has what is read

The last one is of aiokafka 0.14.0, consumer/fetcher.py, which makes its PartitionRecords by their
module's name, so that name is set. The others replace methods of transport/drivers/aiokafka.py, but
the third: transport/consumer.py.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from processor.sequence import Fetched, SourceRecord

_FETCH_MAX_WAIT_MS: Final = 500
"""How long Kafka holds a fetch for which there are no records: aiokafka's default.

Faust's 1,500 is what a partition waits in vain that was just taken over, because there is one fetch
at a time.
"""


class LightRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """A fetched partition's records, made light."""

    def _consumer_record(self, tp: TP, record: Any) -> SourceRecord:  # noqa: ANN401
        return SourceRecord(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            record.key,
            record.value,
        )


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka fetches; everything here runs in it, so the order is certain."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._starts: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401
        fetcher.PartitionRecords = LightRecords
        consumer = super()._create_worker_consumer(transport)
        # aiokafka 0.14.0, consumer/consumer.py: read when the consumer starts, which is later.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS  # noqa: SLF001
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget where partitions were read that may have been elsewhere meanwhile."""
        self._starts.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition to its committed offset, and remember that."""
        found: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return found

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        found: dict[TP, int] = {}  # the values may be None, whatever Faust's annotation says
        new = []
        for tp in consumer.assignment():
            if tp.topic in self.app.tables.changelog_topics:
                continue  # paused; nobody reads them here
            # One by one: nothing can be fetched between a seek and the line behind it.
            offset = found[tp] = (await consumer.seek_to_committed(tp))[tp]
            if offset:  # as aiokafka has it: only then did it seek
                self._starts[tp] = offset
            else:
                new.append(tp)
        if new:
            # All in one request: Kafka answers it after the fetch before it on the same connection,
            # which waits for records. Asked one by one, that was a second each.
            for tp, beginning in (await consumer.beginning_offsets(new)).items():
                consumer.seek(tp, beginning)
                self._starts[tp] = beginning
        return found

    def end_of(self, tp: TP) -> int | None:
        """The offset behind the last record, as of the last fetch; None where nothing is known.

        Counted from the last record that was fetched, because the end that Kafka gives has the
        markers of transactions in it, behind which nobody commits.
        """
        assignment = self._ensure_consumer()._subscription.subscription.assignment  # noqa: SLF001
        state = None if assignment is None else assignment.state_value(tp)
        fetched_to = self._starts.get(tp)
        if state is None or fetched_to is None or not state.has_valid_position:
            return None
        highwater: int | None = state.highwater
        return None if highwater is None else fetched_to + max(0, highwater - state.position)

    async def _fetch_records(
        self,
        consumer: Any,  # noqa: ANN401
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Mapping[TP, list[Fetched]]:
        by_partition = await super()._fetch_records(
            consumer, active_partitions, timeout=timeout, max_records=max_records
        )
        chunks = {}
        for tp, records in by_partition.items():
            chunks[tp] = [Fetched(tp.partition, self._starts.get(tp), records)]
            self._starts[tp] = records[-1].offset + 1
        return chunks


class ChunkConsumer(driver.Consumer):
    """The consumer that Faust's app talks to."""

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Fetched) -> ConsumerMessage:
        last = cast("Any", record.records[-1])
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            None,
            None,
            cast("bytes", record),  # goes through Faust untouched: the topic has no value type
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def end_of(self, tp: TP) -> int | None:
        """As `ChunkThread.end_of`."""
        return cast("ChunkThread", self._thread).end_of(tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: /readyz and the lag say what is stalled."""


class ChunkTransport(driver.Transport):
    """Faust's transport with that consumer."""

    Consumer = ChunkConsumer
