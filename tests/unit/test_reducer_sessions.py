"""StartTransaction and StopTransaction: what opens a session, what ends it, what it used."""

import pytest
from frames16 import REGISTER, Story, element, kinds, sample

from processor.ocpp16.starts import MAX_PENDING
from processor.reducer import IndigestibleFrameError


def test_the_answer_that_assigns_the_id_opens_the_session() -> None:
    story = Story()
    payload = {"connectorId": 2, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    assert story.call("StartTransaction", payload, message_id="x") == []
    [event] = story.answer({"transactionId": 9, "idTagInfo": {"status": "Accepted"}}, "x")
    assert event["eventType"] == "started"
    assert event["payload"] == {
        "transactionId": 9,
        "connectorId": 2,
        "idTag": "A",
        "meterStart": 7,
        "startTime": "2023-12-07T10:00:00Z",
        "status": "started",
    }
    assert "anomalies" not in event


def test_an_answer_without_action_is_found_by_its_message_id() -> None:
    story = Story()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    story.call("StartTransaction", payload, message_id="x")
    assert story.answer({"currentTime": "2023-12-07T10:00:00Z"}, "y", action=None) == []
    answer = {"transactionId": 9, "idTagInfo": {"status": "Accepted"}}
    assert kinds(story.answer(answer, "x", action=None)) == ["started"]


def test_a_refused_start_opens_nothing() -> None:
    story = Story()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    story.call("StartTransaction", payload, message_id="x")
    assert story.refuse("x") == []
    with pytest.raises(IndigestibleFrameError, match="request is not on the log"):
        story.answer({"transactionId": 9, "idTagInfo": {"status": "Accepted"}}, "x")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("Blocked", "id_tag_blocked"),
        ("Expired", "id_tag_expired"),
        ("Invalid", "id_tag_invalid"),
        ("ConcurrentTx", "id_tag_concurrent_tx"),
    ],
)
def test_an_id_tag_that_is_not_accepted_still_opened_a_session(status: str, code: str) -> None:
    [event] = Story().start(status=status)
    assert event["eventType"] == "started"
    assert event["anomalies"] == [code]


@pytest.mark.parametrize("number", [0, -1])
def test_a_start_answered_with_no_real_id_is_an_event_that_says_so(number: int) -> None:
    [event] = Story().start(number)
    assert event["payload"]["transactionId"] == number
    assert event["anomalies"] == ["invalid_transaction_id"]


def test_a_start_on_connector_0_is_an_event_that_says_so() -> None:
    story = Story()
    [event] = story.start(connectorId=0)
    assert event["anomalies"] == ["invalid_connector_id"]
    [completed, _] = story.stop()
    assert completed["payload"]["connectorId"] == 0


def test_requests_without_answer_are_remembered_up_to_a_bound() -> None:
    story = Story()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    for number in range(MAX_PENDING + 1):
        story.call("StartTransaction", payload, message_id=f"p{number}")
    answer = {"transactionId": 9, "idTagInfo": {"status": "Accepted"}}
    with pytest.raises(IndigestibleFrameError, match="request is not on the log"):
        story.answer(answer, "p0")
    assert kinds(story.answer(answer, "p1")) == ["started"]


def test_a_stop_completes_the_session_and_prices_it() -> None:
    story = Story()
    story.start()
    completed, cost = story.stop(idTag="somebody-else", reason="EVDisconnected")
    assert completed["payload"] == {
        "transactionId": 123456,
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "meterStop": 25000,
        "startTime": "2023-12-07T10:15:30Z",
        "stopTime": "2023-12-07T11:45:30Z",
        "energyUsed": 24.0,
        "duration": 90.0,
        "reason": "EVDisconnected",
        "status": "completed",
    }
    assert cost["payload"]["estimatedCost"] == pytest.approx(2.88)
    assert "anomalies" not in completed
    assert "anomalies" not in cost


def test_a_stop_without_reason_is_local() -> None:
    story = Story()
    story.start()
    assert story.stop()[0]["payload"]["reason"] == "Local"


def test_a_register_that_ran_backwards_gives_neither_energy_nor_cost() -> None:
    story = Story()
    story.start(meterStart=5000)
    [completed] = story.stop(meterStop=4999)
    assert completed["payload"]["energyUsed"] is None
    assert completed["payload"]["meterStop"] == 4999
    assert completed["anomalies"] == ["cost_unknown", "register_backwards"]


def test_more_energy_than_a_connector_can_deliver_is_not_billed() -> None:
    story = Story()
    story.start(meterStart=0)
    [completed] = story.stop(meterStop=6_001_001)  # 90 minutes at 4 MW are 6,000 kWh
    assert completed["payload"]["meterStop"] == 6_001_001
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "energy_implausible"]
    story = Story()
    story.start(meterStart=0)
    assert kinds(story.stop(meterStop=6_001_000)) == ["completed", "session_cost"]


def test_a_clock_that_stands_still_does_not_make_energy_implausible() -> None:
    story = Story()
    story.start()
    completed, _ = story.stop(timestamp="2023-12-07T10:15:30Z")
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["payload"]["duration"] == 0.0


def test_a_stop_before_its_start_has_no_duration() -> None:
    story = Story()
    story.start()
    completed, cost = story.stop(timestamp="2023-12-07T10:15:29Z")
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["stop_before_start"]
    # The tariff charges for energy alone, and that is known.
    assert cost["payload"]["duration"] is None
    assert cost["payload"]["estimatedCost"] == pytest.approx(2.88)


def test_a_start_on_a_connector_that_never_stopped_abandons_the_old_session() -> None:
    story = Story()
    story.start(1)
    story.values(sample("3000.9", REGISTER))
    old, new = story.start(2, meterStart=4000, timestamp="2023-12-07T12:00:00Z")
    assert old["eventType"] == "completed"
    assert old["payload"] == {
        "transactionId": 1,
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "meterStop": 3000,
        "startTime": "2023-12-07T10:15:30Z",
        "stopTime": None,
        "energyUsed": 2.0,
        "duration": None,
        "reason": None,
        "status": "abandoned",
    }
    assert old["anomalies"] == ["missing_stop"]
    assert new["eventType"] == "started"
    assert "anomalies" not in new


def test_an_abandoned_session_without_meter_values_has_no_energy() -> None:
    story = Story()
    story.start(1)
    old, _ = story.start(2, meterStart=4000, timestamp="2023-12-07T12:00:00Z")
    assert old["payload"]["meterStop"] is None
    assert old["payload"]["energyUsed"] is None
    assert old["anomalies"] == ["missing_stop"]


def test_a_session_with_a_register_of_its_own_is_abandoned_without_energy() -> None:
    story = Story()
    story.start(1, meterStart=4_076_000)
    story.values(sample("0.353", REGISTER, unit="kWh"))
    old, _ = story.start(2, meterStart=4_076_400, timestamp="2023-12-07T12:00:00Z")
    assert old["payload"]["meterStop"] == 353
    assert old["payload"]["energyUsed"] is None
    assert old["anomalies"] == ["missing_stop", "register_backwards"]


def test_the_late_stop_of_an_abandoned_session_completes_it_after_all() -> None:
    story = Story()
    story.start(1)
    story.start(2, meterStart=4000, timestamp="2023-12-07T12:00:00Z")
    completed, cost = story.stop(1)
    assert completed["payload"]["status"] == "completed"
    assert completed["payload"]["energyUsed"] == 24.0
    assert cost["eventType"] == "session_cost"
    assert story.stop(1) == []
    # The session that is open now is another one.
    assert kinds(story.stop(2, timestamp="2023-12-07T13:00:00Z")) == ["completed", "session_cost"]


def test_two_connectors_do_not_mix() -> None:
    story = Story()
    story.start(1, connectorId=1)
    story.start(2, connectorId=2, idTag="B")
    assert story.stop(2)[0]["payload"]["idTag"] == "B"
    assert story.stop(1)[0]["payload"]["idTag"] == "user123"


def test_a_stop_without_start_says_what_it_knows_itself() -> None:
    [event] = Story().stop(77, idTag="B")
    assert event["payload"] == {
        "transactionId": 77,
        "connectorId": None,
        "idTag": "B",
        "meterStart": None,
        "meterStop": 25000,
        "startTime": None,
        "stopTime": "2023-12-07T11:45:30Z",
        "energyUsed": None,
        "duration": None,
        "reason": "Local",
        "status": "completed",
    }
    assert event["anomalies"] == ["cost_unknown", "missing_start"]


def test_a_stop_without_start_takes_the_start_register_from_its_own_data() -> None:
    begin = element(sample("1000", REGISTER, context="Transaction.Begin"))
    end = element(sample("25000", REGISTER, context="Transaction.End"))
    begin_reading, end_reading, completed = Story().stop(77, transactionData=[begin, end])
    assert begin_reading["payload"]["transactionId"] == 77
    assert begin_reading["payload"]["connectorId"] is None
    assert end_reading["payload"]["totalEnergy"] == 25.0
    assert completed["payload"]["meterStart"] == 1000
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["payload"]["startTime"] is None


@pytest.mark.parametrize("number", [0, -1])
def test_a_stop_without_real_id_is_not_guessed_to_be_the_open_session(number: int) -> None:
    story = Story()
    story.start(42)
    [event] = story.stop(number, idTag="user123")
    assert event["payload"]["connectorId"] is None
    assert event["payload"]["meterStart"] is None
    assert event["anomalies"] == ["cost_unknown", "invalid_transaction_id", "missing_start"]
    # The session is still open, and its own Stop ends it.
    assert kinds(story.stop(42, timestamp="2023-12-07T11:45:31Z")) == ["completed", "session_cost"]


def test_a_stop_with_id_0_ends_the_one_session_that_was_given_id_0() -> None:
    story = Story()
    story.start(0)
    completed, cost = story.stop(0)
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == cost["anomalies"] == ["invalid_transaction_id"]


def test_a_stop_with_id_0_and_another_id_tag_ends_no_session() -> None:
    story = Story()
    story.start(0)
    [event] = story.stop(0, idTag="other")
    assert "missing_start" in event["anomalies"]


def test_a_stop_with_id_0_that_two_sessions_have_ends_neither() -> None:
    story = Story()
    story.start(0, connectorId=1)
    story.start(0, connectorId=2)
    [event] = story.stop(0)
    assert event["payload"]["connectorId"] is None
    assert "missing_start" in event["anomalies"]


def test_a_start_with_a_used_id_but_other_content_is_a_new_session() -> None:
    story = Story()
    story.start(5)
    story.stop(5)
    [event] = story.start(5, meterStart=25000, timestamp="2023-12-08T10:00:00Z")
    assert event["anomalies"] == ["transaction_id_reused"]
    completed, _ = story.stop(5, meterStop=26000, timestamp="2023-12-08T11:00:00Z")
    assert completed["payload"]["energyUsed"] == 1.0


def test_transaction_data_becomes_readings_of_the_session_before_its_completion() -> None:
    story = Story()
    story.start()
    story.values(sample("20000", REGISTER))
    begin = element(
        sample("1000", REGISTER, context="Transaction.Begin"), timestamp="2023-12-07T10:15:30Z"
    )
    end = element(sample("25000", REGISTER), timestamp="2023-12-07T11:45:30Z")
    events = story.stop(transactionData=[begin, end])
    assert kinds(events) == ["meter_reading", "meter_reading", "completed", "session_cost"]
    for event in events[:2]:
        assert event["payload"]["transactionId"] == 123456
        assert event["payload"]["connectorId"] == 1
        # They look back, so being older than the live values is no anomaly.
        assert "anomalies" not in event


@pytest.mark.parametrize("data", ["none", [1], [{"timestamp": "2023-12-07T11:45:30Z"}]])
def test_unreadable_transaction_data_does_not_cost_the_stop(data: object) -> None:
    story = Story()
    story.start()
    completed, cost = story.stop(transactionData=data)
    assert completed["anomalies"] == ["schema_violation", "transaction_data_unreadable"]
    assert cost["payload"]["estimatedCost"] == pytest.approx(2.88)
