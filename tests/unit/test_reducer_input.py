"""What frames count at all, broken ones, times, ids of events, and the stored state."""

import pytest
from frames16 import CLIENT, START_NS, Story, element, frame, kinds, sample

from processor.reducer import IndigestibleFrameError, reduce
from processor.state import (
    ChargePointRow,
    ConnectorRow,
    MemoryRows,
    RowError,
    decode_row,
    encode_row,
    history_key,
    row_key,
)
from processor.tariff import Tariffs
from schemas.frames import OcppFrame

STATUS = b'[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Faulted"}]'


@pytest.mark.parametrize(
    "silent",
    [
        frame(b"\xff not even text", kind="INVALID", violation="not JSON"),
        frame(b"not JSON", kind="CALL", action="Heartbeat"),
        frame(STATUS, action="StatusNotification", direction="outbound"),
        frame(STATUS, action="StatusNotification", protocol="ocpp1.5"),
        frame(STATUS, action="StatusNotification", kind="INVALID"),
        frame(b'[3,"1",{}]', kind="CALLRESULT", action="StatusNotification", direction="outbound"),
        frame(b'[3,"1",{}]', kind="CALLRESULT", action="StartTransaction"),
    ],
)
def test_frames_without_business_meaning_make_no_events(silent: OcppFrame) -> None:
    rows = MemoryRows()
    assert reduce(silent, rows, Tariffs()) == []
    assert rows.rows == {}


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[2]", b"[]", b"{}", b"7", b'[2,"1","x",[]]'])
@pytest.mark.parametrize("action", ["StatusNotification", "MeterValues", "StopTransaction"])
def test_a_call_that_is_none_is_indigestible(raw: bytes, action: str) -> None:
    rows = MemoryRows()
    with pytest.raises(IndigestibleFrameError, match=f"{action} CALL"):
        reduce(frame(raw, action=action, message_id="1"), rows, Tariffs())
    assert rows.rows == {}


def test_an_indigestible_frame_changes_no_row_and_the_next_one_is_processed() -> None:
    story = Story()
    story.start(7)
    before = dict(story.rows.rows)
    good, bad = element(sample("5000")), {"timestamp": "2023-12-07T10:31:00Z"}
    with pytest.raises(IndigestibleFrameError):
        story.meter(good, bad)
    assert story.rows.rows == before
    assert kinds(story.stop(7)) == ["completed", "session_cost"]


@pytest.mark.parametrize("answer", [{}, {"transactionId": None}, {"transactionId": "abc"}])
def test_an_answer_without_id_is_indigestible(answer: object) -> None:
    story = Story()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    story.call("StartTransaction", payload, message_id="x")
    with pytest.raises(IndigestibleFrameError, match="transactionId is"):
        story.answer(answer, "x")


def test_a_session_time_that_is_not_over_yet_is_null_and_sets_no_price() -> None:
    prices = Tariffs.parse(
        '[[tariff]]\ncurrency="EUR"\nenergy_rate=0.5\nvalid_to=2024-01-01T00:00:00Z\n'
        '[[tariff]]\ncurrency="EUR"\nenergy_rate=9.9'
    )
    story = Story(prices)
    # 1,024 weeks off, as a GPS receiver that forgot which of them it is.
    [started] = story.start(timestamp="2043-07-23T10:15:30Z")
    assert started["payload"]["startTime"] is None
    assert started["anomalies"] == ["clock_ahead"]
    completed, cost = story.stop()
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == cost["anomalies"] == ["clock_ahead"]
    assert cost["payload"]["energyRate"] == 0.5
    # A wrong zone is no reason to doubt the time.
    [started] = story.start(2, timestamp="2023-12-08T00:15:30Z")
    assert "anomalies" not in started
    # Nor does a clock that jumps ahead in the middle make a session long.
    completed = story.stop(2, timestamp="2043-07-24T10:15:30Z")[0]
    assert completed["payload"]["stopTime"] is completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["clock_ahead"]


def test_years_between_start_and_stop_are_no_duration_and_no_price() -> None:
    story = Story(Tariffs.parse('[[tariff]]\ncurrency="EUR"\ntime_rate=0.02'))
    story.start(1, timestamp="2016-01-01T00:00:09Z")
    [completed] = story.stop(1)
    assert completed["payload"]["startTime"] == "2016-01-01T00:00:09Z"
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["cost_unknown", "duration_implausible"]
    story.start(2, timestamp="2022-12-07T11:45:30Z")
    cost = story.stop(2)[1]
    assert cost["payload"]["estimatedCost"] == 365 * 24 * 60 * 0.02


def test_a_stop_without_id_is_indigestible() -> None:
    with pytest.raises(IndigestibleFrameError, match="transactionId is missing"):
        Story().call("StopTransaction", {"meterStop": 1, "timestamp": "2023-12-07T10:00:00Z"})


def test_numbers_written_as_text_are_read_and_noted() -> None:
    story = Story()
    [started] = story.start("7", connectorId="1", meterStart="1000")
    assert started["payload"]["transactionId"] == 7
    assert started["payload"]["connectorId"] == 1
    assert started["payload"]["meterStart"] == 1000
    assert started["anomalies"] == ["schema_violation"]
    completed, cost = story.stop(7.0, meterStop=" 25000")
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == cost["anomalies"] == ["schema_violation"]


@pytest.mark.parametrize("meter_start", [None, "many", 10.5, 2**63, [], True])
def test_an_unreadable_register_is_null_and_there_is_no_cost(meter_start: object) -> None:
    story = Story()
    [started] = story.start(meterStart=meter_start)
    assert started["payload"]["meterStart"] is None
    assert started["anomalies"] == ["schema_violation"]
    [completed] = story.stop()
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "schema_violation"]


def test_an_unreadable_id_tag_is_null_and_a_number_is_its_digits() -> None:
    assert Story().start(idTag=None)[0]["payload"]["idTag"] is None
    [event] = Story().start(idTag=12345)
    assert event["payload"]["idTag"] == "12345"
    assert event["anomalies"] == ["schema_violation"]


def test_a_violation_found_by_the_ingress_is_noted() -> None:
    story = Story()
    story.start(7)
    completed, cost = story.stop(7, violation="additional property")
    assert completed["anomalies"] == cost["anomalies"] == ["schema_violation"]


@pytest.mark.parametrize(
    ("text", "written", "codes"),
    [
        ("2023-12-07T10:15:30Z", "2023-12-07T10:15:30Z", []),
        ("2023-12-07T10:15:30.123456789Z", "2023-12-07T10:15:30Z", []),
        ("2023-12-07T11:15:30+01:00", "2023-12-07T10:15:30Z", []),
        ("2023-12-07T10:15:30", "2023-12-07T10:15:30Z", ["timestamp_without_zone"]),
        ("1970-01-01T00:00:05Z", None, ["clock_not_set"]),
        ("1970-01-01T00:00:05", None, ["clock_not_set", "timestamp_without_zone"]),
        ("2009-12-31T23:59:59Z", None, ["clock_not_set"]),
        ("2010-01-01T00:00:00Z", "2010-01-01T00:00:00Z", []),
        ("2023-12-07", None, ["timestamp_unreadable"]),
        ("2023-13-07T10:15:30Z", None, ["timestamp_unreadable"]),
        ("9999-12-31T23:59:59-14:00", None, ["timestamp_unreadable"]),
        ("", None, ["timestamp_unreadable"]),
        (None, None, ["timestamp_unreadable"]),
        (1_701_944_130, None, ["timestamp_unreadable"]),
    ],
)
def test_times_that_tell_no_time_are_null(
    text: object, written: str | None, codes: list[str]
) -> None:
    [event] = Story().start(timestamp=text)
    assert event["payload"]["startTime"] == written
    assert event.get("anomalies", []) == codes


def test_a_session_whose_start_has_no_time_has_no_duration_and_says_why() -> None:
    story = Story()
    story.start(timestamp="1970-01-01T00:00:05Z")
    completed, cost = story.stop()
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == cost["anomalies"] == ["clock_not_set"]


def test_event_ids_increase_even_if_the_clock_of_receipt_does_not() -> None:
    story = Story()
    story.start(7)
    late = frame(STATUS, action="StatusNotification", at=START_NS - 5)
    [event] = story.put(late)
    assert event["timestamp"] == "2023-12-07T10:15:29Z"
    assert event["eventId"] == f"status_changed_{START_NS + 10**9 + 1}"
    completed, cost = story.stop(7)
    assert completed["eventId"] == f"completed_{START_NS + 10**9 + 2}"
    assert cost["eventId"] == f"session_cost_{START_NS + 10**9 + 3}"


def test_charge_points_do_not_mix() -> None:
    rows = MemoryRows()
    for client in ("a", "1|a", "a/b"):
        [event] = reduce(
            frame(STATUS, action="StatusNotification", client_id=client), rows, Tariffs()
        )
        assert event.event_id == f"status_changed_{START_NS}"
    assert len(rows.rows) == 6


def test_rows_survive_the_changelog() -> None:
    story = Story()
    story.status("Charging")
    story.start(7, connectorId=2)
    story.call("StartTransaction", {"connectorId": 1}, message_id="x")
    story.stop(7)
    story.stop(8)
    story.values(sample("5"))
    keys = {row_key(CLIENT, 0), row_key(CLIENT, 1), row_key(CLIENT, 2), history_key(CLIENT)}
    assert set(story.rows.rows) == keys
    for key, row in story.rows.rows.items():
        assert decode_row(encode_row(row), key) == row
    charge_point = story.rows.get(row_key(CLIENT, 0))
    assert isinstance(charge_point, ChargePointRow)
    assert charge_point.connectors == (1, 2)
    assert list(charge_point.pending) == ["x"]
    assert isinstance(story.rows.get(row_key(CLIENT, 1)), ConnectorRow)


@pytest.mark.parametrize("stored", [b"", b"{}", b'{"type":"spaceship"}', b"\xff", b'["connector"]'])
def test_an_unreadable_row_is_named(stored: bytes) -> None:
    with pytest.raises(RowError, match=r"1\|charge-point-001"):
        decode_row(stored, row_key(CLIENT, 1))
