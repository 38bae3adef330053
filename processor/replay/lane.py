"""One lane at work: its charge points' state, its output, its rejects, its checkpoint."""

from collections.abc import Sequence

import msgspec

from processor.replay.checkpoint import Checkpoint
from processor.replay.dealt import Part, entries_of
from processor.replay.difference import Comparison
from processor.replay.errors import Rejected
from processor.replay.fold import INDIGESTIBLE, Fold
from processor.replay.job import Folder, Job, ToFile, ToTopic
from processor.replay.kafka_source import TopicRecord
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Entry, Other
from processor.replay.logs.export_lines import from_line
from processor.replay.logs.merge import Log
from processor.replay.outputs.blocks import BlockOutput
from processor.replay.outputs.forms import EVENT_FORMS, suffix_of
from processor.replay.outputs.output import Nowhere, Output
from processor.replay.outputs.topic import TopicOutput
from processor.replay.registry import registry_at
from processor.replay.rejects import Reject, RejectPart, reject_of, text_of
from processor.replay.selection import Wanted
from processor.replay.tally import Tally
from schemas.codec import Codec, event_codec
from schemas.errors import CodecError
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame


class Lane:
    """A lane.

    Args:
        number: Which.
        job: The run.
        folder: The run's folder.

    Attributes:
        position: Everything before it is done: an offset, or a number of entries.
        tally: What was counted.
    """

    def __init__(self, number: int, job: Job, folder: Folder) -> None:
        self.number = number
        self._wanted = Wanted(job.selection)
        self._filters = bool(job.selection.charge_points)
        self._selection = job.selection
        self._bounded = job.selection.bounded
        self._checkpoint = Checkpoint(folder.checkpoint(number)) if job.keeps else None
        part = self._part
        position, tally = part("position"), part("tally")
        self.position = 0 if position is None else int(position)
        self.done = part("done") is not None
        self.tally = Tally() if tally is None else msgspec.json.decode(tally, type=Tally)
        rows = () if self._checkpoint is None else self._checkpoint.rows()
        self._fold = Fold(job.tariffs, self.tally, rows, tracks=job.keeps)
        self._correlation = Correlation(part("correlation"))
        self._output = Nowhere() if self.done else _output(job, folder, number, part("output"))
        self._rejects = RejectPart(folder.rejects(number), part("rejects"))
        self._comparison = (
            Comparison(folder.against(number), folder.differences(number)) if job.compares else None
        )

    def records(self, topic: str, records: list[TopicRecord], codec: Codec[OcppFrame]) -> None:
        """Reduce records of the lane's partition."""
        if self._filters:
            wanted = [record for record in records if self._wants(record, codec)]
            self.tally.passed_over += len(records) - len(wanted)
            records = wanted
        if not records:
            return
        values: dict[int, bytes] = {}

        def reject(offset: int, reason: str) -> None:
            if not values:
                values.update({record.offset: record.value for record in records})
            where = f"{topic}[{self.number}]@{offset}"
            text = text_of(values[offset])
            full = f"{INDIGESTIBLE}: {reason}"
            self._reject(INDIGESTIBLE, Reject((self.number, offset), where, full, text))

        self._take(self._fold.records(records, codec, reject))

    def entry(self, order: int, entry: Entry, logs: Sequence[Log]) -> None:
        """Reduce an entry of a log."""
        content = entry.content
        try:
            if type(content) is OcppFrame and not self._filters:
                frame = content  # the short way: nothing is left to be asked
            elif (found := self._frame(entry, logs)) is None:
                return
            else:
                frame = found
            events = self._fold.frame(frame)
        except Rejected as rejected:
            path = logs[entry.log].path
            self._reject(rejected.reason, reject_of(rejected, order, path, entry))
            return
        if events:
            self._take(events)

    def dealt(self, part: Part, log: int, logs: Sequence[Log]) -> None:
        """Reduce what another process read for this one, as far as that is not done yet.

        Args:
            part: The lane's.
            log: The number of its lines' log.
            logs: The logs.
        """
        lines, position = part.lines, self.position
        if self._filters or part.entries or (lines and lines[0][0] <= position):
            for order, entry in entries_of(part, log):
                if order > position:
                    self.entry(order, entry, logs)
            return
        frame = self._fold.frame
        for order, line, client_id, text in lines:  # the short way, as above
            try:
                events = frame(from_line(text))
            except Rejected as rejected:
                entry = Entry(log, line, client_id, None, text)
                reject = reject_of(rejected, order, logs[log].path, entry)
                self._reject(rejected.reason, reject)
            else:
                if events:
                    self._take(events)

    def _frame(self, entry: Entry, logs: Sequence[Log]) -> OcppFrame | None:
        content = entry.content
        if content is Other.REPEATED:
            self.tally.repeated += 1
        elif content is Other.NO_FRAME:
            self.tally.other_lines += 1
        elif self._filters and entry.client_id is not None and not self._wanted[entry.client_id]:
            self.tally.passed_over += 1
        else:
            return logs[entry.log].reader.frame(entry, self._correlation)
        return None

    def checkpoint(self, *, done: bool = False) -> None:
        """Make the lane's work so far outlast the process, where the run keeps checkpoints."""
        if self._checkpoint is None or self.done:
            return
        parts = {
            "rejects": self._rejects.checkpoint(),
            "position": str(self.position).encode(),
            "tally": msgspec.json.encode(self.tally),
        }
        if done:
            parts["done"] = b""
        else:
            parts["output"] = self._output.checkpoint()
            parts["correlation"] = self._correlation.stored()
        self._checkpoint.store(parts, self._fold.changed_rows())

    def finish(self) -> None:
        """The history is at its end."""
        if not self.done:
            self._output.close()
            if self._comparison is not None:
                self._comparison.finish()
            self.checkpoint(done=True)
            self.done = True
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._rejects.close()
        if self._checkpoint is not None:
            self._checkpoint.close()

    def _take(self, events: list[BusinessEvent]) -> None:
        selected = self._selection.of(events) if self._bounded else events
        self.tally.add_events(selected)
        self._output.write(selected)
        if self._comparison is not None:
            self._comparison.offer(selected)

    def _reject(self, reason: str, reject: Reject) -> None:
        self.tally.reject(reason)
        self._rejects.add(reject)

    def _part(self, name: str) -> bytes | None:
        return None if self._checkpoint is None else self._checkpoint.part(name)

    def _wants(self, record: TopicRecord, codec: Codec[OcppFrame]) -> bool:
        try:
            name = codec.decode(record.value).client_id if record.key is None else _key(record.key)
        except CodecError:
            return True  # whose it is can't be told, so it is rejected in sight
        return self._wanted[name]


def _key(key: bytes) -> str:
    return key.decode(errors="replace")


def _output(job: Job, folder: Folder, number: int, stored: bytes | None) -> Output:
    target = job.target
    if isinstance(target, ToFile):
        form = EVENT_FORMS[suffix_of(target.path, EVENT_FORMS)]()
        return BlockOutput(form, folder.events(number), stored)
    if isinstance(target, ToTopic):
        codec = event_codec(registry_at(target.schema_registry_url), target.topic)
        return TopicOutput(target.kafka, target.topic, number, codec, stored)
    return Nowhere()
