"""Histories and runs of `chargelog-replay`, for its tests."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from bench.charging import fleet_frames
from processor.reducer import reduce
from processor.replay.logs.export_lines import to_line
from processor.state import MemoryRows
from processor.tariff import Tariffs
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

ROOT = Path(__file__).parents[1]


def fleet(charge_points: int, count: int) -> list[OcppFrame]:
    """The first frames of a fleet, in the order of their receipt."""
    return list(islice(fleet_frames(charge_points), count))


def fold(frames: Sequence[OcppFrame], tariffs: Tariffs | None = None) -> list[BusinessEvent]:
    """The frames' events, by the pure function alone."""
    rows, prices = MemoryRows(), tariffs or Tariffs()
    return [event for frame in frames for event in reduce(frame, rows, prices)]


def write_export(path: Path, frames: Sequence[OcppFrame]) -> Path:
    """The frames as an export."""
    path.write_bytes(b"".join(to_line(frame) + b"\n" for frame in frames))
    return path


def command(*arguments: str | Path) -> list[str]:
    """The command as a user starts it."""
    return [sys.executable, "-m", "processor.replay", *map(str, arguments)]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's, with the tests' modules, and variables of the run."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def replay(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(  # noqa: S603 - our own interpreter
        command(*arguments),
        cwd=cwd,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
