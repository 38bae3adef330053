"""The memory of chargelog-replay on an export, and on one ten times as long: it does not grow.

BENCH_REPLAY_FRAMES sets the longer one's frames (1,000,000; at the quick size 20,000).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

from bench.charging import fleet_frames
from bench.comparison import report
from bench.race import ROOT
from bench.size import Size
from processor.replay.logs.export_lines import to_line

_CHARGE_POINTS: Final = 200
_TIMES: Final = 10
_KIB: Final = 1024


def run(size: Size) -> None:
    """Peak megabytes of each."""
    frames = int(os.environ.get("BENCH_REPLAY_FRAMES", size.of(1_000_000, 20_000)))
    with tempfile.TemporaryDirectory(prefix="chargelog-bench-") as folder:
        path = Path(folder, "frames.jsonl")
        figures = {}
        for name, count in (("short", frames // _TIMES), ("ten-times-as-long", frames)):
            with path.open("wb") as file:
                fleet = islice(fleet_frames(_CHARGE_POINTS), count)
                file.writelines(to_line(frame) + b"\n" for frame in fleet)
            figures[name] = _peak(path, count)
    report("replay_memory", "MB", figures, subject="ten-times-as-long")


def _peak(path: Path, frames: int) -> float:
    """Of the run's own process: a small one starts it and asks what its child came to."""
    command = [sys.executable, "-m", "processor.replay", str(path), "--processes", "1", "--json"]
    asked = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", __name__, *command],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    result, _, peak = asked.stdout.rpartition("\n}\n")
    assert json.loads(result + "}")["frames"] == frames
    return int(peak) / _KIB


if __name__ == "__main__":
    subprocess.run(sys.argv[1:], check=True)  # noqa: S603 - what `_peak` asks for
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
