"""What holds for sessions of OCPP 2.0.1 and 2.1 in whatever order their messages come."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from reduction import run, steps, timed
from sequences2x import session

from processor.ocpp2x.evse_state import EvseRow
from processor.ocpp2x.message_numbers import (
    MAX_MARKS,
    MAX_RANGES,
    Seen,
    has_gap,
    verdict,
    with_message,
)
from processor.state import MemoryRows
from schemas.events import Completed, SessionCost


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_however_a_session_is_shuffled_and_repeated_it_is_billed_once_and_right(
    data: st.DataObject,
) -> None:
    frames = session("a", 0, data.draw(st.integers(0, 4)))
    some = data.draw(st.permutations(frames + data.draw(st.lists(st.sampled_from(frames)))))
    rows = MemoryRows()
    events = run(timed(some, data.draw(steps(len(some)))), rows)
    kinds = Counter(event.event_type for event in events)
    assert kinds["started"] == kinds["session_cost"] == 1
    assert kinds["meter_reading"] == len(frames)
    [real] = [
        event.payload
        for event in events
        if isinstance(event.payload, Completed) and "missing_start" not in event.anomalies
    ]
    assert isinstance(real, Completed)
    assert real.energy_used == (len(frames) - 1) / 10
    assert real.duration == len(frames) - 1
    assert [row.transactions for row in rows.rows.values() if isinstance(row, EvseRow)] == [()]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_two_sessions_of_an_evse_interleaved_in_any_way_are_each_billed_once(
    data: st.DataObject,
) -> None:
    frames = session("a", 0, 1) + session("b", 30, 1)
    order = data.draw(st.permutations(range(len(frames))))
    events = run([frames[place] for place in order], MemoryRows())
    costs = Counter(e.payload.transaction_id for e in events if isinstance(e.payload, SessionCost))
    assert costs == {"a": 1, "b": 1}
    for event in events:
        if isinstance(event.payload, SessionCost):
            assert event.payload.energy_consumed == 0.2


@given(st.lists(st.integers(-2, 40), max_size=80))
def test_numbers_seen_are_known_again_and_gaps_are_told(numbers: list[int]) -> None:
    seen = Seen()
    for place, number in enumerate(numbers):
        if number not in numbers[:place]:
            # Once too many gaps were given up, a number out of one of them counts as seen.
            assert verdict(seen, number, number) == "new" or seen.gap
        seen = with_message(seen, number, number)
        assert verdict(seen, number, number) == "again"
        assert len(seen.ranges) <= MAX_RANGES
        assert len(seen.marks) <= MAX_MARKS
        assert list(seen.ranges) == sorted(seen.ranges)
    if numbers and not seen.gap:
        assert has_gap(seen) == (len({*numbers}) < max(numbers) - min(numbers) + 1)
