"""Starts and Stops that are sent again after a lost answer: one session, one bill."""

from typing import Any

import pytest
from frames16 import REGISTER, Story, element, frame, kinds, sample

from processor.ocpp16.history import MAX_KEPT
from processor.ocpp16.meter_values import MAX_REMEMBERED
from processor.state import HistoryRow, history_key


def test_a_start_resent_with_the_same_message_id_opens_nothing() -> None:
    story = Story()
    assert kinds(story.start(7, message_id="x")) == ["started"]
    assert story.start(7, message_id="x") == []


def test_a_start_resent_with_a_new_message_id_opens_nothing() -> None:
    story = Story()
    story.start(7)
    assert story.start(7, status="ConcurrentTx") == []


def test_a_start_resent_after_the_session_ended_opens_nothing() -> None:
    story = Story()
    story.start(7)
    story.stop(7)
    assert story.start(7) == []
    assert story.start(8) == []  # a central system that does not know it again
    assert story.stop(8, meterStop=25001) == []


def test_a_start_resent_after_the_session_was_abandoned_opens_nothing() -> None:
    story = Story()
    story.start(7)
    story.start(8, meterStart=2000, timestamp="2023-12-07T11:00:00Z")
    assert story.start(7) == []
    assert story.start(9) == []
    assert kinds(story.stop(9)) == ["completed", "session_cost"]
    assert story.stop(7) == []


@pytest.mark.parametrize("timestamp", ["2023-12-07T10:15:30Z", "2023-12-07T10:16:30Z"])
@pytest.mark.parametrize("stopped", [7, 8])
def test_a_start_resent_under_a_new_id_is_another_name_of_the_session(
    timestamp: str, stopped: int
) -> None:
    story = Story()
    story.start(7)
    assert story.start(8, timestamp=timestamp) == []
    reading = story.values(sample("2000", REGISTER), transactionId=8)
    assert reading["payload"]["transactionId"] == 7
    assert "anomalies" not in reading
    completed, cost = story.stop(stopped)
    assert completed["payload"]["transactionId"] == cost["payload"]["transactionId"] == 7
    assert story.stop(15 - stopped) == []


@pytest.mark.parametrize(
    "other",
    [{"timestamp": "2023-12-07T10:16:31Z"}, {"idTag": "B"}, {"meterStart": 1001}],
)
def test_a_start_that_differs_is_a_session_of_its_own(other: dict[str, Any]) -> None:
    story = Story()
    story.start(7)
    assert kinds(story.start(8, **other)) == ["completed", "started"]


def test_a_start_without_a_clock_resent_under_a_new_id_is_known_by_its_text() -> None:
    story = Story()
    story.start(7, timestamp="1970-01-01T00:00:40Z")
    assert story.start(8, timestamp="1970-01-01T00:00:40Z") == []
    assert kinds(story.start(9, timestamp="1970-01-01T00:00:41Z")) == ["completed", "started"]


def test_an_ended_session_whose_clock_was_not_set_does_not_swallow_the_next() -> None:
    story = Story()
    story.start(7, meterStart=0, timestamp="1970-01-01T00:00:00Z")
    story.stop(7)
    assert kinds(story.start(8, meterStart=0, timestamp="1970-01-01T00:00:00Z")) == ["started"]


def test_an_answer_that_is_on_the_log_twice_opens_nothing() -> None:
    story = Story()
    story.start(7, message_id="x")
    assert story.answer({"transactionId": 7, "idTagInfo": {"status": "Accepted"}}, "x") == []


def test_a_stop_resent_completes_nothing() -> None:
    story = Story()
    story.start(7)
    data = [element(sample("25000", REGISTER))]
    assert kinds(story.stop(7, transactionData=data)) == [
        "meter_reading",
        "completed",
        "session_cost",
    ]
    assert story.stop(7, transactionData=data) == []
    assert story.stop(7, timestamp="2023-12-07T11:45:31Z") == []


def test_an_orphaned_stop_resent_completes_nothing() -> None:
    story = Story()
    assert kinds(story.stop(77)) == ["completed"]
    assert story.stop(77, timestamp="2023-12-07T11:46:30Z") == []


def test_stops_without_real_id_are_told_apart_by_content() -> None:
    story = Story()
    assert kinds(story.stop(-1)) == ["completed"]
    assert story.stop(-1) == []
    assert kinds(story.stop(-1, idTag="B")) == ["completed"]
    assert kinds(story.stop(-1, meterStop=25001)) == ["completed"]
    assert kinds(story.stop(-1, timestamp="2023-12-07T11:45:31Z")) == ["completed"]
    assert kinds(story.stop(0)) == ["completed"]


def test_sessions_that_all_have_id_0_are_told_apart() -> None:
    story = Story()
    for hour in ("10", "11", "12"):
        start = story.start(0, timestamp=f"2023-12-07T{hour}:00:00Z")
        assert kinds(start) == ["started"]
        stop = {"timestamp": f"2023-12-07T{hour}:30:00Z"}
        assert kinds(story.stop(0, **stop)) == ["completed", "session_cost"]
        assert story.stop(0, **stop) == []
        assert story.start(0, timestamp=f"2023-12-07T{hour}:00:00Z") == []


def test_a_start_after_an_orphaned_stop_with_its_id_can_still_be_stopped() -> None:
    story = Story()
    story.stop(7, meterStop=5)
    story.start(7)
    assert kinds(story.stop(7)) == ["completed", "session_cost"]


def test_a_stop_whose_id_two_open_sessions_have_ends_neither() -> None:
    story = Story()
    story.start(7, connectorId=1)
    story.start(7, connectorId=2)
    [first] = story.stop(7)
    assert first["payload"]["connectorId"] is None
    [second] = story.stop(7, meterStop=25002)
    assert "missing_start" in second["anomalies"]


def test_meter_values_sent_again_give_no_event() -> None:
    story = Story()
    story.start(7)
    sent = element(sample("1000"), sample("230", "Voltage")), element(sample("2000"))
    assert kinds(story.meter(*sent, transactionId=7)) == ["meter_reading"] * 2
    assert story.meter(*sent, transactionId=7) == []
    # Late, after others, and no more than so many after it.
    for number in range(MAX_REMEMBERED):
        assert story.meter(*sent, transactionId=7) == []
        later = element(sample(str(3000 + number)), timestamp=f"2023-12-07T10:31:0{number}Z")
        assert len(story.meter(later, transactionId=7)) == 1
    assert len(story.meter(*sent, transactionId=7)) == 2
    # Another connector's are its own, and so are those of the next session.
    assert len(story.meter(*sent, connector=2)) == 2
    story.stop(7)
    assert len(story.meter(*sent)) == 2


def test_meter_values_in_a_payload_too_deep_to_be_compared_are_read_all_the_same() -> None:
    raw = (
        f'[2,"m","MeterValues",{{"connectorId":1,"vendorData":{"[" * 300}{"]" * 300},'
        '"meterValue":[{"timestamp":"2023-12-07T10:30:30Z","sampledValue":[{"value":"1"}]}]}]'
    )
    assert kinds(Story().put(frame(raw, action="MeterValues"))) == ["meter_reading"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (element(sample("1000")), element(sample("1001"))),
        (element(sample("1000")), element(sample("1000"), timestamp="2023-12-07T10:30:31Z")),
        # One measurement in two messages.
        (element(sample("230", "Voltage")), element(sample("231", "Voltage"))),
        # The clock is not set, or stands for nothing: the same text is no sign of the same time.
        *[
            (element(sample("1000"), timestamp=time), element(sample("1000"), timestamp=time))
            for time in ("1970-01-01T00:00:00Z", "noon", None)
        ],
    ],
)
def test_values_that_differ_or_have_no_time_are_not_taken_for_a_repetition(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    story = Story()
    assert len(story.meter(first)) == 1
    assert len(story.meter(second)) == 1


def test_ended_sessions_are_kept_up_to_a_bound_per_connector() -> None:
    story = Story()
    story.start(1000, connectorId=2, idTag="B")
    story.stop(1000)
    for number in range(1, MAX_KEPT + 2):
        time = f"2023-12-{number // 24 + 8:02}T{number % 24:02}"
        story.start(number, timestamp=f"{time}:00:00Z")
        story.stop(number, timestamp=f"{time}:30:00Z")
    history = story.rows.get(history_key(story.frames[0].client_id))
    assert isinstance(history, HistoryRow)
    assert [session.ids[0] for session in history.closed] == [1000, *range(2, MAX_KEPT + 2)]
    assert story.stop(2) == []
