"""What holds for every sequence of frames of any OCPP version, sensible or not."""

import json
from collections import Counter

import orjson
import pytest
import sequences2x
import sequences16
from frames16 import CLIENT, frame
from hypothesis import given, settings
from hypothesis import strategies as st
from reduction import JSON, TARIFFS, restored, run

from processor.ocpp2x.evse_rows import MAX_ENDED
from processor.ocpp2x.evse_state import EndedRow, EvseRow
from processor.ocpp2x.transaction_start import MAX_OPEN
from processor.reducer import IndigestibleFrameError, reduce
from processor.state import MemoryRows
from schemas.codec import event_codec
from schemas.event_json import to_json
from schemas.events import BusinessEvent, Completed, SessionCost, Started
from schemas.frames import OcppFrame

CODEC = event_codec()
of_each_generation = pytest.mark.parametrize(
    "sequences", [sequences16.SEQUENCES, sequences2x.SEQUENCES], ids=["1.6", "2.x"]
)
Sequences = st.SearchStrategy[list[OcppFrame]]


@of_each_generation
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_stopping_anywhere_and_resuming_from_the_stored_state_changes_nothing(
    sequences: Sequences, data: st.DataObject
) -> None:
    frames = data.draw(sequences)
    whole = MemoryRows()
    expected = [to_json(event) for event in run(frames, whole)]
    place = data.draw(st.integers(0, len(frames)))
    first = MemoryRows()
    events = run(frames[:place], first)
    second = restored(first)
    events += run(frames[place:], second)
    assert [to_json(event) for event in events] == expected
    assert second.rows == whole.rows


@of_each_generation
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_nothing_is_negative_invented_or_completed_twice(
    sequences: Sequences, data: st.DataObject
) -> None:
    rows = MemoryRows()
    events = run(data.draw(sequences), rows)
    started: Counter[object] = Counter()
    completed: Counter[object] = Counter()
    costs: Counter[object] = Counter()
    for event in events:
        payload = event.payload
        if isinstance(payload, Started):
            started[payload.transaction_id] += 1
        elif isinstance(payload, Completed):
            _check_completed(event, payload)
            if payload.status == "completed" and "missing_start" not in event.anomalies:
                completed[payload.transaction_id] += 1
        elif isinstance(payload, SessionCost):
            costs[payload.transaction_id] += 1
            assert payload.estimated_cost >= 0
        assert costs <= completed <= started
    for row in rows.rows.values():
        if isinstance(row, EvseRow):
            assert len(row.transactions) <= MAX_OPEN
        elif isinstance(row, EndedRow):
            assert len(row.ended) <= MAX_ENDED


def _check_completed(event: BusinessEvent, payload: Completed) -> None:
    if payload.energy_used is None:
        known = payload.meter_start is not None and payload.meter_stop is not None
        assert not known or {"register_backwards", "energy_implausible"} & {*event.anomalies}
    else:
        assert payload.energy_used >= 0
        assert payload.meter_stop is not None
        assert payload.meter_start is not None
        assert payload.energy_used == (payload.meter_stop - payload.meter_start) / 1000
    assert payload.duration is None or payload.duration >= 0


@of_each_generation
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_event_ids_strictly_increase_and_never_lie_before_their_frame(
    sequences: Sequences, data: st.DataObject
) -> None:
    rows = MemoryRows()
    last = 0
    for new in data.draw(sequences):
        for event in run([new], rows):
            name, _, digits = event.event_id.rpartition("_")
            assert name == event.event_type
            assert int(digits) > last
            assert int(digits) >= new.received_at_ns
            last = int(digits)
            assert event.timestamp == new.received_at_ns // 1000
            assert event.client_id == CLIENT
            assert list(event.anomalies) == sorted(set(event.anomalies))


@of_each_generation
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_the_same_frames_give_the_same_bytes_and_every_event_can_be_written(
    sequences: Sequences, data: st.DataObject
) -> None:
    frames = data.draw(sequences)
    events = run(frames, MemoryRows())
    written = [CODEC.encode(event) for event in events]
    assert written == [CODEC.encode(event) for event in run(frames, MemoryRows())]
    for event, record in zip(events, written, strict=True):
        assert to_json(CODEC.decode(record)) == to_json(event)


@given(st.sampled_from(sorted(sequences16.CALLS)), JSON, st.sampled_from([2, 3]))
@settings(max_examples=200, deadline=None)
def test_any_json_is_digested_or_refused_with_its_reason(
    action: str, payload: object, number: int
) -> None:
    raw = json.dumps([number, "a", action, payload]).encode()
    try:
        reduce(frame(raw, action=action, message_id="a"), MemoryRows(), TARIFFS)
    except IndigestibleFrameError as error:
        assert action in str(error)  # noqa: PT017  # either outcome is right


@given(st.sampled_from([*sorted(sequences2x.CALLS), "NotifyEvent"]), JSON, sequences2x.PROTOCOLS)
@settings(max_examples=200, deadline=None)
def test_any_json_is_digested_or_refused_with_its_reason_in_2x(
    action: str, payload: object, protocol: str
) -> None:
    raw = json.dumps([2, "a", action, payload])
    try:
        reduce(frame(raw, action=action, message_id="a", protocol=protocol), MemoryRows(), TARIFFS)
    except IndigestibleFrameError as error:
        assert action in str(error)  # noqa: PT017  # either outcome is right


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_decimal_point_of_a_register_moves_without_rounding(whole: int, decimals: int) -> None:
    text = f"{whole}.{decimals:012}"
    element = {"timestamp": "2023-12-07T10:15:30Z", "sampledValue": [{"value": text}]}
    raw = orjson.dumps([2, "a", "MeterValues", {"connectorId": 1, "meterValue": [element]}])
    [event] = reduce(frame(raw, action="MeterValues"), MemoryRows(), TARIFFS)
    energy = orjson.loads(to_json(event))["payload"]["totalEnergy"]
    assert energy == pytest.approx(float(f"{text}e-3"), rel=0, abs=0)
