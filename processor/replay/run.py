"""A whole run: made ready, done by its processes, put together."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from processor.replay import against, difference, rejects
from processor.replay.errors import ReplayError, UsageError
from processor.replay.job import (
    VERSION,
    Folder,
    FromFiles,
    FromKafka,
    Job,
    LogOnDisk,
    Source,
    Target,
    ToFile,
    ToTopic,
)
from processor.replay.kafka_source import bounds_of
from processor.replay.outputs.forms import EVENT_FORMS, suffix_of
from processor.replay.processes import Pace
from processor.replay.processes import run as run_processes
from processor.replay.selection import Selection
from processor.replay.tally import Tally
from processor.replay.targets import (
    check_file,
    check_folder,
    check_place,
    make_topic,
    partitions_of,
)
from processor.replay.worker import Status
from processor.tariff import Tariffs
from runtime.kafka_access import KafkaAccess


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        source: Where frames come from.
        target: Where events go.
        lanes: For a source of files: how many lanes, if the target does not say.
        selection: What is wanted.
        tariffs: Prices.
        processes: At the most; 0: as many as are worth it.
        folder: The working folder, or None for the usual one.
        resume: Whether to go on with a stopped run.
        overwrite: Whether the output file may be there.
        rejects: Where rejects are listed, or None for the usual place.
        against: What to compare with, or None.
        differences: Where single differences are listed, or None.
        checkpoint_s: Seconds between checkpoints.
    """

    source: Source
    target: Target
    lanes: int
    selection: Selection = Selection()
    tariffs: Tariffs = Tariffs()
    processes: int = 0
    folder: Path | None = None
    resume: bool = False
    overwrite: bool = False
    rejects: Path | None = None
    against: str | None = None
    differences: Path | None = None
    checkpoint_s: float = 10.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        tally: What was counted.
        seconds: How long it took; of a resumed run, since it was resumed.
        processes: How many processes did it.
        rejects: Where the rejects are listed, or None if there were none.
        differences: What changed, or None if nothing was compared.
    """

    tally: Tally
    seconds: float
    processes: int
    rejects: Path | None = None
    differences: difference.Totals | None = None


class Interrupted(ReplayError):  # noqa: N818 - somebody wanted it
    """The run was stopped.

    Attributes:
        folder: Where it can be resumed from, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        super().__init__("stopped")
        self.folder = folder


def perform(
    request: Request,
    kafka: against.Kafka,
    stop: threading.Event,
    tell: Callable[[dict[int, Status]], None] = lambda _: None,
) -> Outcome:
    """Do what is asked for.

    Args:
        request: What.
        kafka: Where topics to compare with are.
        stop: Set it to stop.
        tell: Told where each process stands.

    Raises:
        UsageError: It can't be done as it was asked for.
        ReplayError: Something was not as it must be.
        Interrupted: `stop` was set.
    """
    started = time.monotonic()
    _check_places(request)
    with _folder(request) as (folder, keeps):
        job = _job(request, folder, keeps=keeps)
        if request.against is not None:
            against.split(request.against, kafka, job.lanes, job.selection, folder)
        processes = request.processes or _worthwhile(job)
        done = run_processes(job, folder, Pace(processes, request.checkpoint_s), stop, tell)
        if done is None:
            raise Interrupted(folder.path if keeps else None)
        lanes = range(job.lanes)
        if isinstance(job.target, ToFile):
            _put_together(job, folder, Path(job.target.path))
        listed = _list_rejects(request, folder, lanes) if done.rejects else None
        totals = None
        if job.compares:
            parts = [folder.differences(number) for number in lanes]
            totals = difference.sum_of([difference.totals_in(part) for part in parts])
            if request.differences is not None:
                with request.differences.open("wb") as file:
                    file.writelines(difference.differences_in(parts))
        folder.remove()
    return Outcome(
        tally=done,
        seconds=time.monotonic() - started,
        processes=min(processes, job.lanes),
        rejects=listed,
        differences=totals,
    )


def files(paths: list[str], form: str, zone: str | None) -> FromFiles:
    """Log files as a source.

    Raises:
        UsageError: One is not there.
    """
    logs = []
    for path in paths:
        try:
            found = Path(path).stat()
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}") from error
        if not Path(path).is_file():
            raise UsageError(f"{path} is no file; name the files, e.g. with a pattern: {path}/*")
        logs.append(LogOnDisk(path, found.st_size, found.st_mtime_ns))
    return FromFiles(tuple(logs), form, zone)


def frames_topic(
    kafka: KafkaAccess, topic: str, registry: str | None, as_of: int | None
) -> FromKafka:
    """The frames topic as a source: up to where it ends now, or ended at a time.

    Raises:
        ReplayError: It is not there, or Kafka does not answer.
    """
    bounds = bounds_of(kafka, topic, as_of)
    return FromKafka(kafka, topic, bounds, registry, as_of)


@contextmanager
def _folder(request: Request) -> Iterator[tuple[Folder, bool]]:
    """The working folder, and whether it outlasts a run that is stopped."""
    path = _lasting_path(request)
    if path is None:
        with tempfile.TemporaryDirectory(prefix="chargelog-replay-") as temporary:
            yield Folder(Path(temporary) / "run"), False
        return
    folder = Folder(path)
    try:
        yield folder, True
    except UsageError:
        if not request.resume:
            # It can't be done as it was asked for, so there is nothing to go on with.
            folder.remove()
        raise


def _lasting_path(request: Request) -> Path | None:
    """The working folder of a run that can be resumed."""
    if request.against is not None:
        if request.resume or request.folder is not None:
            raise UsageError("a comparison can't be resumed; leave --resume and --checkpoint away")
        return None
    path = request.folder
    if path is None and isinstance(request.target, ToFile):
        path = Path(f"{request.target.path}.replay")
    elif path is None and isinstance(request.target, ToTopic):
        path = Path(f"{request.target.topic}.replay")
    if path is None:
        if request.resume:
            raise UsageError(
                "a run that only counts leaves nothing to resume, unless it has --checkpoint"
            )
        return None
    begun = (path / "job.json").exists()
    if request.resume and not begun:
        raise UsageError(f"there is no stopped run in {path} to be resumed")
    if begun and not request.resume:
        raise UsageError(
            f"{path} holds a run that was stopped: go on with --resume, or delete the folder"
        )
    if not begun:
        check_folder(path)
    return path


def _check_places(request: Request) -> None:
    read = [] if request.against is None else [request.against]
    if isinstance(request.source, FromFiles):
        read += request.source.paths
    out = Path(request.target.path) if isinstance(request.target, ToFile) else None
    for path in (out, _rejects_path(request), request.differences):
        if path is not None:
            check_place(path, read)


def _job(request: Request, folder: Folder, *, keeps: bool) -> Job:
    job = Job(
        source=request.source,
        target=request.target,
        lanes=_lanes(request),
        selection=request.selection,
        tariffs=request.tariffs,
        keeps=keeps,
        compares=request.against is not None,
    )
    if request.resume:
        return _stored(job, folder)
    if isinstance(job.target, ToFile):
        check_file(Path(job.target.path), overwrite=request.overwrite)
    if isinstance(job.target, ToTopic):
        make_topic(job.target, job.lanes)
    # Whole or not at all: a run that is killed here has not begun.
    new = folder.new_job
    new.write_bytes(msgspec.json.encode(job.public))
    new.replace(folder.job)
    return job


def _stored(job: Job, folder: Folder) -> Job:
    """The stopped run, which must be the one that is asked for."""
    try:
        stored = msgspec.json.decode(folder.job.read_bytes(), type=Job)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{folder.job} is of another version of this program: {error}") from error
    asked, source = job, stored.source
    if isinstance(source, FromKafka) and isinstance(job.source, FromKafka):
        # The topic has grown since; the run ends where it was to end.
        asked = msgspec.structs.replace(
            job, source=msgspec.structs.replace(job.source, bounds=source.bounds)
        )
    public = asked.public
    if public != stored or stored.version != VERSION:
        differing = [
            name for name in Job.__struct_fields__ if getattr(public, name) != getattr(stored, name)
        ]
        raise UsageError(
            f"the run in {folder.path} was another one ({', '.join(differing)} differ); give the "
            "options it had, and leave its log files as they were"
        )
    return asked


def _lanes(request: Request) -> int:
    if isinstance(request.source, FromKafka):
        return len(request.source.bounds)
    if isinstance(request.target, ToTopic):
        found = partitions_of(request.target)
        return found or request.lanes
    return request.lanes


def _worthwhile(job: Job) -> int:
    """Processes that pay: starting one takes about as long as 50,000 frames."""
    enough = 200_000 if isinstance(job.source, FromKafka) else 200_000 * 250
    return 1 if job.source.size < enough else min(os.cpu_count() or 1, job.lanes)


def _put_together(job: Job, folder: Folder, path: Path) -> None:
    form = EVENT_FORMS[suffix_of(str(path), EVENT_FORMS)]()
    # In the folder of the file itself: a rename within a file system is whole or not at all.
    new = path.with_name(f".{path.name}.new")
    form.assemble([folder.events(number) for number in range(job.lanes)], new)
    new.replace(path)


def _list_rejects(request: Request, folder: Folder, lanes: range) -> Path:
    path = _rejects_path(request)
    rejects.assemble([folder.rejects(number) for number in lanes], path)
    return path


def _rejects_path(request: Request) -> Path:
    if request.rejects is not None:
        return request.rejects
    out = request.target
    return Path(f"{out.path}.rejects" if isinstance(out, ToFile) else "replay.rejects")
