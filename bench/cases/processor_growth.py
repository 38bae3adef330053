"""How the processor's rate changes: with workers, with charge points, with the size of a chunk.

Broker and workers share this machine's cores, so a second worker adds only what is left of them.
"""

from functools import partial
from typing import Final

from bench.backlog import Backlog
from bench.comparison import compare
from bench.race import Program, Track, frames_per_second, python, track
from bench.size import Size

_PARTITIONS: Final = 4
_COMMAND: Final = python("processor")


def run(size: Size) -> None:
    """Frames a second of each variant."""
    frames = size.of(300_000, 4_000)
    with track(_PARTITIONS) as place:
        _workers(frames, place, size)
        _charge_points(frames, place, size)
        _chunks(frames, place, size)


def _workers(frames: int, place: Track, size: Size) -> None:
    backlog = Backlog.of_new_fleet(1000, frames)
    compare(
        "processor_growth.workers",
        "frames/s",
        {
            f"workers-{workers}": partial(
                frames_per_second,
                Program(_COMMAND, workers=workers),
                backlog,
                place,
                joined_first=True,
            )
            for workers in (1, 2)
        },
        subject="workers-2",
        rounds=size.rounds,
    )


def _charge_points(frames: int, place: Track, size: Size) -> None:
    backlogs = {
        number: Backlog.of_fleet_at_work(number, frames)
        for number in (10, 1_000, size.of(100_000, 2_000))
    }
    compare(
        "processor_growth.charge_points",
        "frames/s",
        {
            f"charge-points-{number}": partial(frames_per_second, Program(_COMMAND), backlog, place)
            for number, backlog in backlogs.items()
        },
        subject="charge-points-1000",
        rounds=size.rounds,
    )


def _chunks(frames: int, place: Track, size: Size) -> None:
    backlog = Backlog.of_new_fleet(1000, frames)
    compare(
        "processor_growth.chunk",
        "frames/s",
        {
            f"chunk-{frames_of_chunk}": partial(
                frames_per_second,
                Program(_COMMAND, {"PROCESSOR_CHUNK_FRAMES": str(frames_of_chunk)}),
                backlog,
                place,
            )
            for frames_of_chunk in (500, 5_000, 20_000)
        },
        subject="chunk-5000",
        rounds=size.rounds,
    )
