"""A progress bar on a terminal: rate, time left, each partition's position."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from processor.replay.job import FromKafka, Source
from processor.replay.worker import Status

_MOST_PARTITIONS: Final = 16

Tell: TypeAlias = Callable[[dict[int, Status]], None]


@contextmanager
def progress(source: Source, console: Console) -> Iterator[Tell]:
    """What to tell where the processes stand; shows nothing where nobody sees it."""
    if not console.is_terminal:
        yield lambda _: None
        return
    bar = _bar(console)
    with bar:
        yield _Shown(bar, source).tell


@contextmanager
def counted(what: str, size: int, console: Console) -> Iterator[Callable[[int, int], None]]:
    """What to tell how much of the source was read, and how many frames that were."""
    if not console.is_terminal:
        yield lambda _done, _frames: None
        return
    bar = _bar(console)
    with bar:
        task = bar.add_task(what, total=size, note="")
        yield lambda done, frames: bar.update(task, completed=done, note=f"{frames:,} frames")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class _Shown:
    def __init__(self, bar: Progress, source: Source) -> None:
        self._bar = bar
        self._started = time.monotonic()
        self._partitions: dict[int, TaskID] = {}
        self._source = source
        self._all = bar.add_task("all", total=source.size, note="")
        if isinstance(source, FromKafka) and len(source.bounds) <= _MOST_PARTITIONS:
            for number, (start, end) in source.bounds.items():
                self._partitions[number] = bar.add_task(
                    f"partition {number}", total=end - start, note=""
                )

    def tell(self, statuses: dict[int, Status]) -> None:
        kafka = isinstance(self._source, FromKafka)
        # Every process reads all files, but only its own partitions.
        combine = sum if kafka else min
        done = combine(status.done for status in statuses.values())
        frames = sum(status.frames for status in statuses.values())
        rate = frames / max(time.monotonic() - self._started, 0.001)
        self._bar.update(self._all, completed=done, note=f"{frames:,} frames, {rate:,.0f} frames/s")
        if not isinstance(self._source, FromKafka):
            return
        for status in statuses.values():
            for number, position in status.positions.items():
                start, end = self._source.bounds[number]
                if number in self._partitions:
                    self._bar.update(
                        self._partitions[number],
                        completed=max(0, position - start),
                        note=f"at {position:,} of {end:,}",
                    )
