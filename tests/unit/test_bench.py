"""The benchmarks run: every case at its quick size, and what they print can be read."""

import re
from itertools import islice

import pytest
from bench_kit import bench, quick

from bench.__main__ import all_cases
from bench.charging import SESSION_FRAMES, ChargePoint, ChargePoint16, fleet_frames
from bench.charging201 import ChargePoint201
from bench.comparison import bench_line, interleaved
from processor.reducer import reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs

LINE = re.compile(r"BENCH [\w.-]+/[\w.-]+ [0-9.]+(?:e[+-]\d+)? \S+ ratio=\d+\.\d\d vs=\S+")
NO_BROKER = ["codec", "reducer", "replay_file", "replay_memory"]


@pytest.mark.parametrize("case", NO_BROKER)
def test_a_case_prints_figures_with_their_peers(case: str) -> None:
    headline, *lines = quick(case).splitlines()
    assert headline.startswith(f"# {case}: ")
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_a_name_that_no_benchmark_has_is_refused_with_the_names_there_are() -> None:
    done = bench("speed-of-light")
    assert done.returncode == 2
    assert ", ".join(all_cases()) in done.stderr


def test_contenders_take_turns_and_the_median_counts() -> None:
    order: list[str] = []
    figures = {"a": iter([1.0, 9.0, 2.0]), "b": iter([4.0, 4.0, 8.0])}

    def contender(name: str) -> float:
        order.append(name)
        return next(figures[name])

    medians = interleaved({"a": lambda: contender("a"), "b": lambda: contender("b")}, 3)
    assert order == ["a", "b"] * 3
    assert medians == {"a": 2.0, "b": 4.0}
    line = bench_line("case/a", medians["a"], "frames/s", "b", medians["b"])
    assert line == "BENCH case/a 2 frames/s ratio=0.50 vs=b"


@pytest.mark.parametrize("kind", [ChargePoint16, ChargePoint201])
def test_the_fleet_charges_without_anomalies_and_comes_out_the_same_each_time(
    kind: type[ChargePoint],
) -> None:
    frames = list(islice(fleet_frames(3, kind=kind), 3 * 2 * SESSION_FRAMES))
    assert frames == list(islice(fleet_frames(3, kind=kind), len(frames)))
    times = [frame.received_at_ns for frame in frames]
    assert times == sorted(set(times))
    rows, tariffs = MemoryRows(), Tariffs()
    events = [event for frame in frames for event in reduce(frame, rows, tariffs)]
    assert {event.event_type for event in events} == {
        "started", "completed", "meter_reading", "status_changed", "session_cost",
    }  # fmt: skip
    assert [event for event in events if event.anomalies] == []
