"""What holds for every sequence of OCPP 2.0.1 and 2.1 frames, sensible or not."""

import json
from collections import Counter
from typing import Any, NamedTuple

import msgspec
import orjson
from frames16 import CLIENT, START_NS, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.ocpp2x.evse_rows import MAX_ENDED
from processor.ocpp2x.evse_state import EndedRow, EvseRow
from processor.ocpp2x.message_numbers import (
    MAX_MARKS,
    MAX_RANGES,
    Seen,
    has_gap,
    verdict,
    with_message,
)
from processor.ocpp2x.transaction_start import MAX_OPEN
from processor.reducer import IndigestibleFrameError, reduce
from processor.state import MemoryRows, decode_row, encode_row
from processor.tariff import Tariffs
from schemas.codec import event_codec
from schemas.event_json import to_json
from schemas.events import BusinessEvent, Completed, SessionCost, Started
from schemas.frames import OcppFrame

CODEC = event_codec()
TARIFFS = Tariffs.parse(
    '[[tariff]]\ncurrency="EUR"\nenergy_rate=0.3\ntime_rate=0.01\nsession_fee=0.5\nconnectors=[1]\n'
    '[[tariff]]\ncurrency="JPY"\nenergy_rate=31.5'
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)

# Few different values, so that ids meet again, registers run backwards and times collide.
IDS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 4, "1", None])
EVSES = st.sampled_from(
    [None, {"id": 1}, {"id": 1, "connectorId": 1}, {"id": 1, "connectorId": 2}, {"id": 2}, 3]
)
TOKENS = st.sampled_from([None, {"idToken": "A", "type": "Central"}, {"idToken": ""}, 1])
TIMES = st.sampled_from(
    [
        "2023-12-07T10:15:30Z",
        "2023-12-07T10:16:00Z",
        "2023-12-07T10:30:00Z",
        "2023-12-07T12:45:30.5Z",
        "2023-12-07T11:45:30",
        "1970-01-01T00:00:00Z",
        "never",
        None,
    ]
)
SAMPLES = st.fixed_dictionaries(
    {"value": st.sampled_from([0, 1200, 1500.5, 99_999_999, "x", "12"])},
    optional={
        "measurand": st.sampled_from(["Power.Active.Import", "Voltage"]),
        "phase": st.sampled_from(["L1", "L2", None]),
        "context": st.sampled_from(["Transaction.Begin", "Transaction.End"]),
        "location": st.sampled_from(["Inlet", "Outlet", "Upstream"]),
        "unitOfMeasure": st.sampled_from(
            [{"unit": "Wh"}, {"unit": "kWh"}, {"unit": "W"}, {"unit": "Wh", "multiplier": 1}, {}]
        ),
    },
)
ELEMENTS = st.lists(
    st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, max_size=3)}),
    max_size=2,
)
CALLS: dict[str, st.SearchStrategy[Any]] = {
    "StatusNotification": st.fixed_dictionaries(
        {
            "evseId": st.sampled_from([0, 1, 1, 2]),
            "connectorId": st.sampled_from([1, 2]),
            "connectorStatus": st.sampled_from(["Available", "Occupied"]),
        }
    ),
    "MeterValues": st.fixed_dictionaries(
        {"evseId": st.sampled_from([0, 1, 2]), "meterValue": ELEMENTS}
    ),
    "TransactionEvent": st.fixed_dictionaries(
        {
            "eventType": st.sampled_from(["Started", "Updated", "Updated", "Ended"]),
            "timestamp": TIMES,
            "seqNo": NUMBERS,
            "transactionInfo": st.fixed_dictionaries({"transactionId": IDS}),
        },
        optional={"evse": EVSES, "idToken": TOKENS, "meterValue": ELEMENTS},
    ),
}
MESSAGE_IDS = st.sampled_from(["a", "b"])
PROTOCOLS = st.sampled_from(["ocpp2.0.1", "ocpp2.1"])


@st.composite
def _calls(draw: st.DrawFn) -> OcppFrame:
    action = draw(st.sampled_from([*sorted(CALLS), "TransactionEvent", "TransactionEvent"]))
    payload = draw(JSON if draw(st.integers(0, 9)) == 7 else CALLS[action])
    message_id = draw(MESSAGE_IDS)
    return frame(
        json.dumps([2, message_id, action, payload]),
        action=action,
        message_id=message_id,
        violation=draw(st.sampled_from([None, None, "violates its schema"])),
        protocol=draw(PROTOCOLS),
    )


@st.composite
def _answers(draw: st.DrawFn) -> OcppFrame:
    message_id = draw(MESSAGE_IDS)
    status = draw(st.sampled_from(["Accepted", "ConcurrentTx"]))
    return frame(
        orjson.dumps([3, message_id, {"idTokenInfo": {"status": status}}]),
        kind="CALLRESULT",
        action=draw(st.sampled_from(["TransactionEvent", None])),
        message_id=message_id,
        direction="outbound",
        protocol="ocpp2.0.1",
    )


class _Told(NamedTuple):
    """One message of a clean session: minutes after 10:00, register in Wh."""

    event_type: str
    minute: int
    wh: int
    context: str


def _session(tx: str, start: int, updates: int) -> list[OcppFrame]:
    """A clean session; energy 100 Wh a message."""
    told = [
        _Told("Started", start, 1000, "Transaction.Begin"),
        *(
            _Told("Updated", start + n, 1000 + 100 * n, "Sample.Periodic")
            for n in range(1, updates + 1)
        ),
        _Told("Ended", start + updates + 1, 1100 + 100 * updates, "Transaction.End"),
    ]
    return [_frame(tx, number, message) for number, message in enumerate(told)]


def _frame(tx: str, number: int, told: _Told) -> OcppFrame:
    at = f"2023-12-07T10:{told.minute:02}:00Z"
    payload = {
        "eventType": told.event_type,
        "timestamp": at,
        "triggerReason": "Trigger",
        "seqNo": number,
        "transactionInfo": {"transactionId": tx},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": told.wh, "context": told.context}]}
        ],
    }
    message_id = f"{tx}{number}"
    raw = orjson.dumps([2, message_id, "TransactionEvent", payload])
    return frame(raw, action="TransactionEvent", message_id=message_id, protocol="ocpp2.0.1")


@st.composite
def _sequences(draw: st.DrawFn) -> list[OcppFrame]:
    frames = draw(st.lists(_calls() | _answers(), max_size=16))
    return _timed(frames, draw(_steps(len(frames))))


def _steps(count: int) -> st.SearchStrategy[list[int]]:
    """Nanoseconds between frames."""
    return st.lists(st.integers(-3, 3), min_size=count, max_size=count)


def _timed(frames: list[OcppFrame], steps: list[int]) -> list[OcppFrame]:
    at = START_NS
    timed = []
    for new, step in zip(frames, steps, strict=True):
        at += step
        timed.append(msgspec.structs.replace(new, received_at_ns=at))
    return timed


def _run(frames: list[OcppFrame], rows: MemoryRows) -> list[BusinessEvent]:
    events = []
    for new in frames:
        before = dict(rows.rows)
        try:
            events += reduce(new, rows, TARIFFS)
        except IndigestibleFrameError:
            assert rows.rows == before
    return events


@given(_sequences(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_2x_log_may_be_cut_anywhere_and_resumed_from_the_stored_state(
    frames: list[OcppFrame], data: st.DataObject
) -> None:
    whole = MemoryRows()
    expected = [to_json(event) for event in _run(frames, whole)]
    place = data.draw(st.integers(0, len(frames)))
    first = MemoryRows()
    events = _run(frames[:place], first)
    second = MemoryRows({key: decode_row(encode_row(row), key) for key, row in first.rows.items()})
    events += _run(frames[place:], second)
    assert [to_json(event) for event in events] == expected
    assert second.rows == whole.rows


@given(_sequences())
@settings(max_examples=200, deadline=None)
def test_nothing_of_a_2x_session_is_negative_invented_or_completed_twice(
    frames: list[OcppFrame],
) -> None:
    rows = MemoryRows()
    events = _run(frames, rows)
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


@given(_sequences())
@settings(max_examples=100, deadline=None)
def test_2x_event_ids_strictly_increase_and_every_event_can_be_written(
    frames: list[OcppFrame],
) -> None:
    rows = MemoryRows()
    last = 0
    written = []
    for new in frames:
        for event in _run([new], rows):
            name, _, digits = event.event_id.rpartition("_")
            assert name == event.event_type
            assert int(digits) > last
            assert int(digits) >= new.received_at_ns
            last = int(digits)
            assert event.client_id == CLIENT
            assert list(event.anomalies) == sorted(set(event.anomalies))
            written.append(CODEC.encode(event))
            assert to_json(CODEC.decode(written[-1])) == to_json(event)
    assert written == [CODEC.encode(event) for event in _run(frames, MemoryRows())]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_however_a_session_is_shuffled_and_repeated_it_is_billed_once_and_right(
    data: st.DataObject,
) -> None:
    frames = _session("a", 0, data.draw(st.integers(0, 4)))
    some = data.draw(st.permutations(frames + data.draw(st.lists(st.sampled_from(frames)))))
    rows = MemoryRows()
    events = _run(_timed(some, data.draw(_steps(len(some)))), rows)
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
    frames = _session("a", 0, 1) + _session("b", 30, 1)
    order = data.draw(st.permutations(range(len(frames))))
    events = _run([frames[place] for place in order], MemoryRows())
    costs = Counter(e.payload.transaction_id for e in events if isinstance(e.payload, SessionCost))
    assert costs == {"a": 1, "b": 1}
    for event in events:
        if isinstance(event.payload, SessionCost):
            assert event.payload.energy_consumed == 0.2


@given(st.sampled_from([*sorted(CALLS), "NotifyEvent"]), JSON, PROTOCOLS)
@settings(max_examples=200, deadline=None)
def test_any_json_is_digested_or_refused_with_its_reason_in_2x(
    action: str, payload: object, protocol: str
) -> None:
    raw = json.dumps([2, "a", action, payload])
    try:
        reduce(frame(raw, action=action, message_id="a", protocol=protocol), MemoryRows(), TARIFFS)
    except IndigestibleFrameError as error:
        assert action in str(error)  # noqa: PT017  # either outcome is right


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
