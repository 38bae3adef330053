"""chargelog-replay on an export: one process against a bare loop, two processes against one.

The bare loop reads the same lines, decodes the same frames and runs the same reducer. Of two
processes each decodes and reduces its charge points' lines, which a third one reads for both;
starting them is part of the time. Their processor time says what dealing costs, also where other
work leaves no second core free.
"""

import os
import tempfile
import threading
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from bench.charging import fleet_frames
from bench.comparison import compare, report
from bench.size import Size
from processor.reducer import reduce
from processor.replay.against import Kafka
from processor.replay.job import ToNowhere
from processor.replay.logs.export_lines import from_line, to_line
from processor.replay.run import Request, files, perform
from processor.state import MemoryRows
from processor.tariff import Tariffs
from runtime.kafka_access import KafkaAccess

_CHARGE_POINTS: Final = 500
_LANES: Final = 8


def run(size: Size) -> None:
    """Frames a second of each contender."""
    with tempfile.TemporaryDirectory(prefix="chargelog-bench-") as folder:
        short = _export(Path(folder, "short.jsonl"), size.of(200_000, 2_000))
        compare(
            "replay_file",
            "frames/s",
            {"one-process": partial(replayed, short, 1), "bare-loop": partial(_bare, short)},
            subject="one-process",
            rounds=size.rounds,
        )
        long = _export(Path(folder, "long.jsonl"), size.of(2_000_000, 2_000))
        spent: dict[str, list[float]] = {"two-processes": [], "one-process": []}
        compare(
            "replay_file.processes",
            "frames/s",
            {
                name: partial(_noting, spent[name], long, processes)
                for name, processes in (("two-processes", 2), ("one-process", 1))
            },
            subject="two-processes",
            rounds=size.rounds,
        )
        seconds = {name: median(values) for name, values in spent.items()}
        report("replay_file.processor_time", "s", seconds, subject="two-processes")


def _export(path: Path, frames: int) -> Path:
    with path.open("wb") as file:
        file.writelines(
            to_line(frame) + b"\n" for frame in islice(fleet_frames(_CHARGE_POINTS), frames)
        )
    return path


def replayed(path: Path, processes: int) -> float:
    """Frames a second of `chargelog-replay <path>`."""
    request = Request(
        source=files([str(path)], "auto", None),
        target=ToNowhere(),
        lanes=_LANES,
        processes=processes,
    )
    begin = perf_counter()
    outcome = perform(request, Kafka(KafkaAccess(""), None), threading.Event())
    seconds = perf_counter() - begin
    assert outcome.tally.total_events
    assert outcome.tally.rejects == 0
    return outcome.tally.frames / seconds


def _noting(spent: list[float], path: Path, processes: int) -> float:
    """As `replayed`; the processor time of all its processes is noted."""
    before = os.times()
    figure = replayed(path, processes)
    spent.append(sum(os.times()[:4]) - sum(before[:4]))
    return figure


def _bare(path: Path) -> float:
    rows, tariffs = MemoryRows(), Tariffs()
    frames = events = 0
    begin = perf_counter()
    with path.open("rb") as file:
        for line in file:
            events += len(reduce(from_line(line), rows, tariffs))
            frames += 1
    seconds = perf_counter() - begin
    assert events
    return frames / seconds
