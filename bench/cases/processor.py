"""The processor on a backlog, one worker, against other ways to do the same work on the same Kafka.

All run the same reducer and codecs and write the same events, which is checked byte for byte. The
`textbook-faust` contender has no transactions; `raw-loop-without-reducer` only decodes.
"""

from functools import partial
from typing import Final

from bench.backlog import Backlog
from bench.comparison import compare
from bench.contenders.quix_environment import quix_python
from bench.race import Program, Track, frames_per_second, python, track
from bench.size import Size

_PARTITIONS: Final = 4
_CHARGE_POINTS: Final = 1000


def run(size: Size) -> None:
    """Frames a second of each contender."""
    backlog = Backlog.of_new_fleet(_CHARGE_POINTS, size.of(300_000, 4_000))
    chunk = str(size.of(5_000, 250))
    raw = python("bench.contenders.raw_loop", "--chunk", chunk)
    programs = {
        "chargelog": Program(python("processor"), {"PROCESSOR_CHUNK_FRAMES": chunk}),
        "raw-loop": Program(raw),
    }
    if size.name == "full":
        programs["raw-loop-without-reducer"] = Program(
            [*raw, "--reducer", "none"], makes_events=False
        )
        programs["textbook-faust"] = Program(
            python("bench.contenders.textbook_faust", "worker", "--without-web", "-l", "warn")
        )
        programs["quix-exactly-once"] = Program(
            python("bench.contenders.quix", interpreter=quix_python())
        )
    with track(_PARTITIONS) as place:
        compare(
            "processor",
            "frames/s",
            {name: partial(_rate, program, backlog, place) for name, program in programs.items()},
            subject="chargelog",
            rounds=size.rounds,
        )


def _rate(program: Program, backlog: Backlog, place: Track) -> float:
    return frames_per_second(program, backlog, place)
