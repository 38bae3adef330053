"""The soak's verifier must say so when something is wrong."""

import pytest
from processor_schedule import DEEDS, schedule
from processor_verdict import Difference, Entry, compare, rows_that_differ

from processor.state import ConnectorRow, MemoryRows, encode_row

EXPECTED = [Entry(("CP0", f"meter_reading_{number}"), b"%d" % number) for number in range(5)]


def test_what_must_be_there_passes() -> None:
    assert not compare(EXPECTED, list(EXPECTED))


@pytest.mark.parametrize(
    ("got", "difference"),
    [
        ([*EXPECTED[:2], *EXPECTED[3:]], Difference(lost=1)),
        ([*EXPECTED[:3], EXPECTED[1], *EXPECTED[3:]], Difference(duplicated=1)),
        ([*EXPECTED, EXPECTED[4]], Difference(duplicated=1)),
        (
            [*EXPECTED[:4], Entry(EXPECTED[4].identity, b"altered")],
            Difference(different=1),
        ),
        ([EXPECTED[0], EXPECTED[2], EXPECTED[1], *EXPECTED[3:]], Difference(out_of_order=1)),
        ([*EXPECTED, Entry(("CP0", "invented_7"), b"7")], Difference(unexpected=1)),
        ([], Difference(lost=5)),
    ],
    ids=["lost", "doubled", "doubled at the end", "altered", "swapped", "invented", "nothing"],
)
def test_what_is_wrong_is_counted(got: list[Entry], difference: Difference) -> None:
    assert compare(EXPECTED, got) == difference


def test_partitions_add_up() -> None:
    assert Difference(lost=1, duplicated=2) + Difference(lost=3) == Difference(lost=4, duplicated=2)


def test_rows_are_compared_by_bytes() -> None:
    charging, available = ConnectorRow(status="Charging"), ConnectorRow(status="Available")
    rows = MemoryRows({"1|CP0": charging, "1|CP1": available})
    same = {"1|CP0": encode_row(charging), "1|CP1": encode_row(available)}
    assert rows_that_differ(rows, same) == 0
    assert rows_that_differ(rows, {**same, "1|CP0": encode_row(available)}) == 1
    assert rows_that_differ(rows, {"1|CP0": encode_row(charging)}) == 1
    assert rows_that_differ(rows, {**same, "1|CP2": encode_row(available)}) == 1


@pytest.mark.parametrize("duration", [60, 300])
def test_the_schedule_is_the_seeds_and_has_every_deed(duration: int) -> None:
    steps = schedule(7, duration)
    assert steps == schedule(7, duration)
    assert steps != schedule(8, duration)
    assert {step.deed for step in steps} == set(DEEDS)
    assert all(step.at < duration for step in steps)
    workers = 2
    for step in steps:
        workers += {"add": 1, "remove": -1}.get(step.deed, 0)
        assert workers >= 2
