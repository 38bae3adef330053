"""TransactionEvents that come twice, late, out of order or not at all."""

from typing import Any

import pytest
from frames2x import START, STOP, TOKEN, TX, Story2x, register, the
from frames16 import kinds

from processor.ocpp2x.evse_rows import MAX_ENDED
from processor.ocpp2x.evse_state import EndedRow, EvseRow, ended_key, evse_key
from processor.ocpp2x.message_numbers import MAX_MARKS, MAX_RANGES


def test_a_2x_message_sent_again_gives_no_event_whatever_its_message_id() -> None:
    story = Story2x()
    for message_id in ("x", "x", "y"):
        events = story.started(message_id=message_id)
        assert kinds(events) == (["started", "meter_reading"] if len(story.frames) == 1 else [])
    for message_id in ("a", "a", "b"):
        events = story.updated(message_id=message_id, offline=message_id == "b")
        assert kinds(events) == (["meter_reading"] if len(story.frames) == 4 else [])
    for message_id in ("k", "k", "l"):
        events = story.ended(message_id=message_id)
        assert len(events) == (3 if len(story.frames) == 7 else 0)


def test_a_whole_queue_sent_again_gives_no_event() -> None:
    story = Story2x()
    for again in (False, True):
        events = story.started()
        for number in range(1, 60):
            events += story.updated(number, 1000 + number, at=f"2023-12-07T10:{number:02}:31Z")
        events += story.ended(60)
        assert len(events) == (0 if again else 64)


def test_a_started_sent_again_with_a_slightly_different_time_opens_nothing() -> None:
    story = Story2x()
    story.started()
    assert story.started(at="2023-12-07T10:16:30Z") == []
    story.ended(1)
    assert story.started(at="2023-12-07T10:16:30Z") == []


def test_a_started_sent_again_once_the_clock_is_set_opens_nothing() -> None:
    story = Story2x()
    story.started(at="1970-01-01T00:00:10Z")
    assert story.started() == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_transaction_id_used_again_is_a_session_of_its_own(ended: bool) -> None:  # noqa: FBT001 - parametrized
    story = Story2x()
    story.started(tx="1")
    story.wait_until("2023-12-08T11:00:00Z")
    if ended:
        story.ended(1, tx="1")
    events = story.started(tx="1", at="2023-12-08T10:00:00Z", wh=25000)
    started = the(events, "started")
    assert started["anomalies"] == ["transaction_id_reused"]
    assert ("completed" in kinds(events)) is not ended
    completed = the(story.ended(1, 26000, "2023-12-08T11:00:00Z", tx="1"), "completed")
    assert completed["payload"]["energyUsed"] == 1.0
    assert completed["anomalies"] == ["transaction_id_reused"]
    assert story.ended(1, 26000, "2023-12-08T11:00:00Z", tx="1") == []


@pytest.mark.parametrize("sessions", [2, 3])
@pytest.mark.parametrize("while_open", [False, True])
def test_a_queue_sent_again_after_its_id_was_used_again_bills_nothing_twice(
    sessions: int,
    while_open: bool,  # noqa: FBT001 - parametrized
) -> None:
    story = Story2x()
    story.wait_until("2023-12-10T00:00:00Z")

    def session(day: int, *, end: bool = True) -> list[dict[str, Any]]:
        date, wh = f"2023-12-{day:02}", 1000 * day
        events = story.started(0, wh, f"{date}T10:00:00Z", tx="1")
        events += story.updated(1, wh + 200, tx="1", at=f"{date}T10:30:00Z")
        return events + (story.ended(2, wh + 500, f"{date}T11:00:00Z", tx="1") if end else [])

    last = 6 + sessions
    for day in range(7, last + 1):
        costs = session(day, end=day < last or not while_open)
        assert kinds(costs).count("session_cost") == (day < last or not while_open)
    for day in range(7, last):
        assert session(day) == []
    cost = the(session(last), "session_cost") if while_open else None
    assert session(last) == []
    if cost is not None:
        assert cost["payload"]["energyConsumed"] == 0.5


def test_the_late_end_of_an_abandoned_transaction_does_not_end_the_next_with_its_id() -> None:
    story = Story2x()
    story.wait_until("2023-12-08T12:00:00Z")
    story.started(0, 1000, tx="1")
    story.started(0, 5000, "2023-12-08T10:00:00Z", tx="1")
    cost = the(story.ended(1, 4000, "2023-12-07T18:00:00Z", tx="1"), "session_cost")
    assert cost["payload"]["energyConsumed"] == 3.0
    assert cost["payload"]["startTime"] == START
    cost = the(story.ended(1, 7000, "2023-12-08T11:00:00Z", tx="1"), "session_cost")
    assert cost["payload"]["energyConsumed"] == 2.0
    # And an Updated of the first one, later still, is told as its own.
    [reading] = story.updated(7, 3000, tx="1", at="2023-12-07T17:00:00Z")
    assert reading["anomalies"] == ["out_of_order"]


def test_whose_session_it_was_may_be_told_after_its_end() -> None:
    story = Story2x()
    story.ended(2)
    story.updated(1, idToken=TOKEN)
    cost = the(story.started(0, idToken=None), "session_cost")
    assert cost["payload"]["idTag"] == "user123"


def test_an_ended_session_without_clock_does_not_swallow_the_next_with_its_id() -> None:
    story = Story2x()
    story.started(tx="1", at="1970-01-01T00:00:10Z")
    story.ended(1, tx="1")
    assert "started" in kinds(story.started(tx="1", at="1970-01-01T00:00:50Z", wh=25000))


def test_a_clock_that_stands_still_swallows_no_session_with_a_used_id() -> None:
    story = Story2x()
    unset = "1970-01-01T00:00:00Z"
    for wh in (1000, 3000, 5000):
        assert "started" in kinds(story.started(0, wh, unset, tx="1"))
        assert story.started(0, wh, unset, tx="1") == []
        events = story.ended(1, wh + 2000, unset, tx="1")
        assert the(events, "completed")["payload"]["energyUsed"] == 2.0
        assert story.started(0, wh, unset, tx="1") == []


def test_numbers_and_clock_that_both_stand_still_lose_no_reading() -> None:
    story = Story2x()
    story.started(0)
    for wh in (2000, 3000):
        [reading] = story.updated(0, wh, at="1970-01-01T00:00:00Z")
        assert reading["payload"]["totalEnergy"] == wh / 1000
        assert story.updated(0, wh, at="1970-01-01T00:00:00Z", offline=True) == []


def test_a_number_used_twice_for_different_messages_loses_none_of_them() -> None:
    story = Story2x()
    story.started(0)
    first, second = (
        the(story.updated(0, wh, at=f"2023-12-07T10:{minute}:00Z"), "meter_reading")
        for wh, minute in ((2000, 20), (3000, 30))
    )
    assert first["anomalies"] == second["anomalies"] == ["seq_no_reused"]
    assert story.updated(0, 3000, at="2023-12-07T10:30:00Z") == []
    events = story.ended(0)
    assert kinds(events) == ["meter_reading", "completed", "session_cost"]
    assert events[1]["anomalies"] == ["seq_no_reused"]
    assert events[1]["payload"]["energyUsed"] == 24.0


def test_numbers_that_start_again_within_a_transaction_lose_nothing_that_is_news() -> None:
    story = Story2x()
    story.started(0, evse=None, idToken=None)
    for number in range(1, 31):
        story.updated(number, 1000 + number, at=f"2023-12-07T10:{number:02}:31Z")
    # Power was lost; the transaction goes on, the numbers start again.
    token = {"idToken": "A", "type": "Central"}
    assert story.updated(0, None, evse={"id": 1}, at="2023-12-07T11:00:31Z") == []
    assert story.updated(1, None, idToken=token, at="2023-12-07T11:01:31Z") == []
    for number in range(2, 5):
        [reading] = story.updated(number, 2000 + number, at=f"2023-12-07T11:{number:02}:31Z")
        assert reading["anomalies"] == ["seq_no_reused"]
    # An old message is still known for one.
    assert story.updated(10, 1010, at="2023-12-07T10:10:31Z") == []
    completed = the(story.ended(5), "completed")
    assert completed["payload"]["evseId"] == 1
    assert completed["payload"]["idTag"] == "A"
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == ["seq_no_reused"]


def test_messages_without_number_are_told_apart_by_type_and_time() -> None:
    story = Story2x()
    story.started(None)
    assert len(story.updated(None)) == 1
    assert story.updated(None) == []
    assert len(story.updated(None, at="2023-12-07T10:31:30Z")) == 1
    assert kinds(story.ended(None))[1:] == ["completed", "session_cost"]


def test_a_missing_number_is_told_at_the_end() -> None:
    story = Story2x()
    story.started(0)
    [reading] = story.updated(2)
    assert "anomalies" not in reading
    _, completed, cost = story.ended(3)
    assert completed["anomalies"] == cost["anomalies"] == ["seq_no_gap"]
    assert completed["payload"]["energyUsed"] == 24.0


def test_numbers_may_begin_anywhere() -> None:
    story = Story2x()
    story.started(41)
    story.updated(42)
    assert "anomalies" not in the(story.ended(43), "completed")


def test_a_gap_that_fills_up_is_none_and_what_fills_it_is_out_of_order() -> None:
    story = Story2x()
    story.started(0)
    story.updated(2, 6000, at="2023-12-07T10:40:30Z")
    [late] = story.updated(1, 5000)
    assert late["anomalies"] == ["out_of_order"]
    assert "anomalies" not in the(story.ended(3), "completed")


def test_an_updated_after_the_ended_is_a_reading_out_of_order() -> None:
    story = Story2x()
    story.started(0)
    assert the(story.ended(2), "completed")["anomalies"] == ["seq_no_gap"]
    [late] = story.updated(1)
    assert late["payload"]["transactionId"] == TX
    assert late["payload"]["evseId"] == 1
    assert late["anomalies"] == ["out_of_order"]
    assert story.updated(1) == []
    assert "meter_reading" in kinds(story.started(0, tx="next", at="2023-12-07T12:00:00Z"))


def test_an_updated_before_its_started_says_so_and_the_started_opens_the_session() -> None:
    story = Story2x()
    [early] = story.updated(1, evse={"id": 1})
    assert early["payload"]["transactionId"] == TX
    assert early["anomalies"] == ["missing_start"]
    started, reading = story.started(0)
    assert started["payload"]["meterStart"] == 1000
    assert started["anomalies"] == reading["anomalies"] == ["out_of_order"]
    [next_one] = story.updated(2, 6000, at="2023-12-07T10:31:30Z")
    assert "anomalies" not in next_one
    completed = the(story.ended(3), "completed")
    assert completed["payload"]["energyUsed"] == 24.0
    assert "anomalies" not in completed


def test_an_ended_before_its_started_is_completed_again_once_the_start_is_known() -> None:
    story = Story2x()
    _, orphan = story.ended(1, evse={"id": 1})
    assert orphan["anomalies"] == ["cost_unknown", "missing_start"]
    events = story.started(0)
    assert kinds(events) == ["started", "meter_reading", "completed", "session_cost"]
    assert events[0]["anomalies"] == ["out_of_order"]
    assert events[2]["payload"]["energyUsed"] == 24.0
    assert events[2]["payload"]["idTag"] == "user123"
    assert "anomalies" not in events[2]
    assert story.started(0) == []
    assert story.ended(1) == []


def test_a_late_started_may_tell_the_evse_of_a_session_that_is_over() -> None:
    story = Story2x()
    story.ended(1)
    completed = the(story.started(0), "completed")
    assert completed["payload"]["evseId"] == 1
    assert story.ended(1) == []
    assert story.started(0) == []


def test_a_session_whose_started_never_comes_says_what_it_knows() -> None:
    story = Story2x()
    story.updated(1, evse={"id": 1, "connectorId": 2})
    _, completed = story.ended(2, idToken={"idToken": "B", "type": "Central"})
    assert completed["payload"] == {
        "transactionId": TX,
        "connectorId": 2,
        "idTag": "B",
        "meterStart": None,
        "meterStop": 25000,
        "startTime": None,
        "stopTime": STOP,
        "energyUsed": None,
        "duration": None,
        "reason": "Local",
        "status": "completed",
        "evseId": 1,
    }
    assert completed["anomalies"] == ["cost_unknown", "missing_start"]
    assert story.ended(2) == []


def test_a_session_without_started_is_of_whom_its_updated_names() -> None:
    story = Story2x()
    story.updated(1, None, idToken={"idToken": "A", "type": "Central"})
    completed = the(story.ended(2, idToken={"idToken": "B", "type": "Central"}), "completed")
    assert completed["payload"]["idTag"] == "A"


def test_a_session_without_started_takes_the_begin_from_its_end() -> None:
    begin, end = (
        register(1000, "Transaction.Begin", START),
        register(25000, "Transaction.End", STOP),
    )
    completed = the(Story2x().tell("Ended", 9, begin, end, at=STOP), "completed")
    assert completed["payload"]["meterStart"] == 1000
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == ["cost_unknown", "missing_start"]


def test_an_abandoned_transaction_without_started_is_started_and_ended_late() -> None:
    story = Story2x()
    story.updated(1, tx="a", evse={"id": 1})
    old, _, _ = story.started(tx="b", at="2023-12-07T12:00:00Z", wh=30000)
    assert old["payload"]["status"] == "abandoned"
    assert old["anomalies"] == ["missing_start", "missing_stop"]
    assert kinds(story.started(0, tx="a")) == ["started", "meter_reading"]
    completed = the(story.ended(2, tx="a"), "completed")
    assert completed["payload"]["energyUsed"] == 24.0
    assert "anomalies" not in completed


def test_a_started_that_comes_after_its_successors_does_not_abandon_it() -> None:
    story = Story2x()
    story.started(tx="b", at="2023-12-07T12:00:00Z", wh=25000)
    assert kinds(story.started(tx="a")) == ["started", "meter_reading"]
    assert story.connector("Occupied")[0]["payload"]["transactionId"] == "b"
    assert kinds(story.ended(1, tx="a"))[1:] == ["completed", "session_cost"]
    events = story.ended(1, 26000, "2023-12-07T13:00:00Z", tx="b")
    assert the(events, "completed")["payload"]["energyUsed"] == 1.0


def test_an_offline_session_that_comes_hours_late_in_a_burst_has_its_own_times() -> None:
    story = Story2x()
    story.started(at="2023-12-06T22:00:00Z", offline=True)
    story.updated(1, at="2023-12-06T23:00:00Z", offline=True)
    completed = the(story.ended(2, at="2023-12-07T01:30:00Z", offline=True), "completed")
    assert completed["payload"]["duration"] == 210.0
    assert completed["timestamp"] == "2023-12-07T10:15:32Z"
    assert "anomalies" not in completed


def _row(story: Story2x, key: str) -> Any:  # noqa: ANN401 - any row
    return story.rows.get(key)


def test_what_is_kept_of_a_transaction_is_bounded() -> None:
    story = Story2x()
    story.started(0)
    for number in range(2, 200, 2):
        story.updated(
            number, 1000 + number, at=f"2023-12-07T{10 + number // 60}:{number % 60:02}:31Z"
        )
    row = _row(story, evse_key(story.frames[0].client_id, 1))
    assert isinstance(row, EvseRow)
    seen = row.transactions[0].seen
    assert len(seen.ranges) == MAX_RANGES
    assert len(seen.marks) == MAX_MARKS
    story.updated(200, 1201)
    assert story.updated(198, 1198, at="2023-12-07T13:18:31Z") == []
    (first, last), *_ = seen.ranges
    assert (first, last) == (0, 168)
    for number in range(171, 200, 2):
        story.updated(number, 1000 + number)
    story.updated(169, 1169)
    row = _row(story, evse_key(story.frames[0].client_id, 1))
    assert len(row.transactions[0].seen.ranges) == 1
    # 1 to 167 never came, though what is left of the numbers has no gap.
    assert the(story.ended(201), "completed")["anomalies"] == ["seq_no_gap"]


def test_ended_transactions_are_kept_up_to_a_bound_per_evse() -> None:
    story = Story2x()
    story.started(tx="other", evse={"id": 2})
    story.ended(1, tx="other")
    for number in range(MAX_ENDED + 1):
        at = f"2023-12-{number // 24 + 8:02}T{number % 24:02}"
        story.started(tx=f"t{number}", at=f"{at}:00:00Z")
        story.ended(1, at=f"{at}:30:00Z", tx=f"t{number}")
    row = _row(story, ended_key(story.frames[0].client_id, 1))
    assert isinstance(row, EndedRow)
    assert [record.transaction.id for record in row.ended] == [
        f"t{number}" for number in range(1, MAX_ENDED + 1)
    ]
    assert story.ended(1, tx="other") == []
    assert story.ended(1, at="2023-12-08T01:30:00Z", tx="t1") == []
