"""What a run is to do: the same for every process, and for the run that goes on after it."""

from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from processor.replay.kafka_source import Bounds
from processor.replay.selection import Selection
from processor.tariff import Tariffs
from runtime.kafka_access import KafkaAccess

VERSION: Final = 1
"""Of the working folder's content."""


NEW_JOB: Final = "job.new"
"""All that is in the folder of a run that was killed before it began."""
_CONTENT: Final = (
    *("lane-*.sqlite*", "events-*", "rejects-*", "against-*", "differences-*"),
    *(NEW_JOB, "job.json"),
)
"""What a folder may hold (see `Folder`), in the order in which it can be deleted: a run that is
killed meanwhile is still one that was stopped, and what it has lost is made again."""


class FromKafka(msgspec.Struct, frozen=True, tag="kafka"):
    """The frames topic, up to where it ended when the run began, or at an earlier time.

    Attributes:
        as_of: Unix microseconds of that time, or None.
    """

    kafka: KafkaAccess
    topic: str
    bounds: dict[int, Bounds]
    schema_registry_url: str | None = None
    as_of: int | None = None

    @property
    def size(self) -> int:
        """Records to be read."""
        return sum(bounds.end - bounds.start for bounds in self.bounds.values())


class LogOnDisk(msgspec.Struct, frozen=True):
    """A log file as it was when the run began."""

    path: str
    size: int
    modified_ns: int


class FromFiles(msgspec.Struct, frozen=True, tag="files"):
    """Log files.

    Attributes:
        logs: The files.
        form: Their format, see `reader_for`.
        zone: The zone of times that name none, or None.
    """

    logs: tuple[LogOnDisk, ...]
    form: str
    zone: str | None = None

    @property
    def paths(self) -> list[str]:
        """The files' paths."""
        return [log.path for log in self.logs]

    @property
    def size(self) -> int:
        """Bytes to be read."""
        return sum(log.size for log in self.logs)


class ToFile(msgspec.Struct, frozen=True, tag="file"):
    """An event file; its suffix says the form."""

    path: str


class ToTopic(msgspec.Struct, frozen=True, tag="topic"):
    """Another events topic."""

    kafka: KafkaAccess
    topic: str
    schema_registry_url: str | None = None


class ToNowhere(msgspec.Struct, frozen=True, tag="nowhere"):
    """No output: count only."""


Source: TypeAlias = FromKafka | FromFiles
Target: TypeAlias = ToFile | ToTopic | ToNowhere


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The run.

    Attributes:
        source: Where frames come from.
        target: Where events go.
        lanes: How many lanes the history is split into.
        selection: What is wanted.
        tariffs: Prices.
        keeps: Whether checkpoints are made.
        compares: Whether there is something to compare with, split by lane in the folder.
        version: Of the folder's content.
    """

    source: Source
    target: Target
    lanes: int
    selection: Selection
    tariffs: Tariffs
    keeps: bool
    compares: bool = False
    version: int = VERSION

    @property
    def public(self) -> "Job":
        """The same without user and password at Kafka: what the folder keeps."""
        source, target = self.source, self.target
        if isinstance(source, FromKafka):
            source = msgspec.structs.replace(source, kafka=source.kafka.public)
        if isinstance(target, ToTopic):
            target = msgspec.structs.replace(target, kafka=target.kafka.public)
        return msgspec.structs.replace(self, source=source, target=target)


class Folder:
    """The run's working folder: its parts, checkpoints and what it is to do.

    Args:
        path: The folder; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Delete it, but nothing that a run has not put there."""
        for pattern in _CONTENT:
            for path in self.path.glob(pattern):
                path.unlink()
        with suppress(OSError):  # somebody else's files are in it, or it is a mount point
            self.path.rmdir()

    @property
    def job(self) -> Path:
        """What is to be done."""
        return self.path / "job.json"

    @property
    def new_job(self) -> Path:
        """The same while it is written."""
        return self.path / NEW_JOB

    def events(self, lane: int) -> Path:
        """A lane's part of the event file."""
        return self.path / f"events-{lane}"

    def rejects(self, lane: int) -> Path:
        """A lane's rejects."""
        return self.path / f"rejects-{lane}"

    def checkpoint(self, lane: int) -> Path:
        """A lane's checkpoint."""
        return self.path / f"lane-{lane}.sqlite"

    def against(self, lane: int) -> Path:
        """A lane's part of what is compared with."""
        return self.path / f"against-{lane}"

    def differences(self, lane: int) -> Path:
        """A lane's differences."""
        return self.path / f"differences-{lane}"
