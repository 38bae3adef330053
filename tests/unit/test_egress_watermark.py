"""egress.watermark: an offset is committable only without a gap before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.watermark import Watermark


def test_nothing_settled_nothing_to_commit() -> None:
    mark = Watermark()
    assert mark.position is None
    mark.add(7)
    assert (mark.position, mark.pending) == (None, 1)


def test_gap_holds_the_position_until_it_closes() -> None:
    mark = Watermark()
    for offset in (5, 6, 9):
        mark.add(offset)
    mark.settle(9)
    mark.settle(6)
    assert (mark.position, mark.pending) == (None, 3)
    mark.settle(5)
    assert (mark.position, mark.pending) == (10, 0)


def test_settling_twice_or_what_was_never_added_changes_nothing() -> None:
    mark = Watermark()
    mark.add(1)
    mark.settle(1)
    mark.settle(1)
    mark.settle(0)
    assert mark.position == 2
    mark.add(2)
    mark.settle(1)
    assert (mark.position, mark.pending) == (2, 1)


@pytest.mark.parametrize("offset", [3, 4])
def test_offsets_must_rise(offset: int) -> None:
    mark = Watermark()
    mark.add(4)
    with pytest.raises(ValueError, match="log order"):
        mark.add(offset)
    mark.settle(4)
    with pytest.raises(ValueError, match="log order"):
        mark.add(offset)


@given(
    offsets=st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True).map(sorted),
    data=st.data(),
)
def test_position_is_always_the_end_of_the_settled_run(
    offsets: list[int], data: st.DataObject
) -> None:
    mark = Watermark()
    added: list[int] = []
    settled: set[int] = set()
    coming = list(offsets)
    highest = -1
    while coming or len(settled) < len(offsets):
        unsettled = sorted(set(added) - settled)
        if coming and (not unsettled or data.draw(st.booleans())):
            added.append(coming.pop(0))
            mark.add(added[-1])
        else:
            choice = data.draw(st.sampled_from(unsettled))
            settled.add(choice)
            mark.settle(choice)
        run = [o for i, o in enumerate(added) if settled.issuperset(added[: i + 1])]
        assert mark.position == (run[-1] + 1 if run else None)
        assert mark.pending == len(added) - len(run)
        assert (mark.position or 0) >= highest
        highest = mark.position or 0
    assert mark.position == offsets[-1] + 1
