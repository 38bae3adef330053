"""TransactionEvent of OCPP 2.0.1 and 2.1: the session that it tells, all being well or not."""

from typing import Any

import pytest
from frames2x import READING, START, STOP, TX, Story2x, register, sample, the
from frames16 import REGISTER, frame, kinds

from processor.reducer import IndigestibleFrameError
from processor.tariff import Tariffs


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
def test_a_2x_session_gives_the_same_events_as_in_1_6(protocol: str) -> None:
    story = Story2x(protocol=protocol)
    started, first = story.started()
    [reading] = story.updated()
    last, completed, cost = story.ended(info={"stoppedReason": "EVDisconnected"})
    assert started["payload"] == {
        "transactionId": TX,
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "startTime": START,
        "status": "started",
        "evseId": 1,
    }
    assert [event["payload"]["totalEnergy"] for event in (first, reading, last)] == [1.0, 5.0, 25.0]
    assert completed["payload"] == {
        "transactionId": TX,
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "meterStop": 25000,
        "startTime": START,
        "stopTime": STOP,
        "energyUsed": 24.0,
        "duration": 90.0,
        "reason": "EVDisconnected",
        "status": "completed",
        "evseId": 1,
    }
    assert cost["payload"]["estimatedCost"] == pytest.approx(2.88)
    assert cost["payload"]["evseId"] == 1
    assert not [event for event in (started, first, reading, last, completed, cost)
                if "anomalies" in event]  # fmt: skip


def test_the_request_opens_the_transaction_whatever_the_answer() -> None:
    story = Story2x()
    story.started(message_id="s", wh=None)
    assert story.refuse("s", "TransactionEvent") == []
    completed = the(story.ended(1), "completed")
    assert completed["payload"]["meterStop"] == 25000
    assert completed["anomalies"] == ["cost_unknown"]


@pytest.mark.parametrize("action", ["TransactionEvent", None])
def test_an_id_token_that_is_not_accepted_is_told_at_the_end(action: str | None) -> None:
    story = Story2x()
    [started, _] = story.started(message_id="s")
    assert story.answer({"idTokenInfo": {"status": "ConcurrentTx"}}, "s", action) == []
    events = story.ended(1)
    assert "anomalies" not in started
    assert the(events, "completed")["anomalies"] == ["id_tag_concurrent_tx"]
    assert the(events, "session_cost")["anomalies"] == ["id_tag_concurrent_tx"]


def test_an_answer_after_the_end_or_without_status_changes_nothing() -> None:
    story = Story2x()
    story.started(message_id="s")
    story.ended(1)
    before = dict(story.rows.rows)
    assert story.answer({"idTokenInfo": {"status": "Blocked"}}, "s", "TransactionEvent") == []
    assert {**story.rows.rows, "0|charge-point-001": None} == {
        **before,
        "0|charge-point-001": None,
    }
    story.started(message_id="t", tx="b")
    for answer in ({}, {"idTokenInfo": 1}, {"idTokenInfo": {"status": "Accepted"}}):
        story.answer(answer, "t", "TransactionEvent")
    assert "anomalies" not in the(story.ended(1, tx="b"), "completed")


def test_the_first_id_token_is_the_sessions_and_may_come_later() -> None:
    story = Story2x()
    [started, _] = story.started(idToken=None)
    assert started["payload"]["idTag"] is None
    story.updated(1, None, idToken={"idToken": "A", "type": "ISO14443"}, trigger="Authorized")
    story.updated(2, None, idToken={"idToken": "B", "type": "ISO14443"}, trigger="StopAuthorized")
    completed = the(story.ended(3, idToken={"idToken": "B", "type": "ISO14443"}), "completed")
    assert completed["payload"]["idTag"] == "A"
    assert "anomalies" not in completed


def test_nobodys_id_token_is_null_and_the_one_that_stopped_is_not_the_sessions() -> None:
    story = Story2x()
    [started, _] = story.started(idToken={"idToken": "", "type": "NoAuthorization"})
    assert started["payload"]["idTag"] is None
    completed = the(story.ended(1, idToken={"idToken": "B", "type": "Central"}), "completed")
    assert completed["payload"]["idTag"] is None
    assert "anomalies" not in completed


def test_the_evse_may_be_told_later_and_is_told_once() -> None:
    story = Story2x()
    started, _ = story.started(evse=None)
    assert started["payload"]["connectorId"] is None
    assert "evseId" not in started["payload"]
    [reading] = story.updated(1, evse={"id": 2})
    assert reading["payload"]["evseId"] == 2
    assert reading["payload"]["connectorId"] is None
    [reading] = story.updated(2, 6000, evse={"id": 2, "connectorId": 3})
    assert reading["payload"]["connectorId"] == 3
    completed = the(story.ended(3), "completed")
    assert completed["payload"]["evseId"] == 2
    assert completed["payload"]["connectorId"] == 3
    assert "anomalies" not in completed


@pytest.mark.parametrize("other", [{"id": 2}, {"id": 1, "connectorId": 2}])
def test_the_first_evse_stays_and_another_one_is_noted(other: dict[str, int]) -> None:
    story = Story2x()
    story.started()
    [reading] = story.updated(1, evse=other)
    completed = the(story.ended(), "completed")
    for event in (reading, completed):
        assert event["payload"]["evseId"] == event["payload"]["connectorId"] == 1
        assert event["anomalies"] == ["evse_mismatch"]


def test_a_session_that_never_had_an_evse_is_completed() -> None:
    story = Story2x()
    story.started(evse=None, wh=None)
    [completed] = story.ended(1, None, info={"stoppedReason": "Timeout"})
    assert "evseId" not in completed["payload"]
    assert completed["payload"]["reason"] == "Timeout"
    assert completed["anomalies"] == ["cost_unknown"]


def test_transactions_without_evse_go_on_beside_each_other() -> None:
    story = Story2x()
    assert kinds(story.started(tx="a", evse=None, wh=None)) == ["started"]
    assert kinds(story.started(tx="b", evse=None, wh=None)) == ["started"]
    story.updated(1, 1500, tx="b", evse={"id": 2})
    assert the(story.ended(1, tx="a"), "completed")["payload"]["transactionId"] == "a"
    assert the(story.ended(2, tx="b"), "completed")["payload"]["evseId"] == 2


def test_open_transactions_without_evse_are_bounded() -> None:
    story = Story2x()
    for number in range(16):
        assert kinds(story.started(tx=f"t{number}", evse=None, wh=None)) == ["started"]
    oldest, started = story.started(tx="t16", evse=None, wh=None)
    assert oldest["payload"]["transactionId"] == "t0"
    assert oldest["payload"]["status"] == "abandoned"
    assert started["payload"]["transactionId"] == "t16"


def test_a_start_on_an_evse_abandons_what_went_on_there() -> None:
    story = Story2x()
    story.started(tx="a")
    story.updated(1, 3000, tx="a")
    old, started, _ = story.started(tx="b", at="2023-12-07T12:00:00Z", wh=4000)
    assert old["payload"] == {
        "transactionId": "a",
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "meterStop": 3000,
        "startTime": START,
        "stopTime": None,
        "energyUsed": 2.0,
        "duration": None,
        "reason": None,
        "status": "abandoned",
        "evseId": 1,
    }
    assert old["anomalies"] == ["missing_stop"]
    assert started["payload"]["transactionId"] == "b"
    assert "anomalies" not in started


def test_a_transaction_that_comes_to_an_evse_abandons_what_went_on_there() -> None:
    story = Story2x()
    story.started(tx="a")
    story.started(tx="b", evse=None, at="2023-12-07T12:00:00Z", wh=None)
    old, reading = story.updated(1, tx="b", evse={"id": 1}, at="2023-12-07T12:01:00Z")
    assert old["payload"]["transactionId"] == "a"
    assert old["payload"]["status"] == "abandoned"
    assert reading["payload"]["transactionId"] == "b"


def test_the_late_end_of_an_abandoned_transaction_completes_it_after_all() -> None:
    story = Story2x()
    story.started(tx="a")
    story.started(tx="b", at="2023-12-07T12:00:00Z", wh=26000)
    events = story.ended(1, tx="a")
    assert kinds(events) == ["meter_reading", "completed", "session_cost"]
    assert events[1]["payload"]["energyUsed"] == 24.0
    assert "anomalies" not in events[1]
    assert story.ended(1, tx="a") == []
    assert kinds(story.ended(1, 27000, "2023-12-07T13:00:00Z", tx="b"))[1:] == [
        "completed",
        "session_cost",
    ]


def test_evses_do_not_mix() -> None:
    story = Story2x()
    story.started(tx="a")
    story.started(tx="b", evse={"id": 2}, idToken={"idToken": "B", "type": "Central"})
    assert the(story.ended(1, tx="b"), "completed")["payload"]["idTag"] == "B"
    assert the(story.ended(1, tx="a"), "completed")["payload"]["idTag"] == "user123"


def test_a_missing_stopped_reason_is_local() -> None:
    story = Story2x()
    story.started()
    assert the(story.ended(1), "completed")["payload"]["reason"] == "Local"


def test_the_begin_may_be_told_with_the_end() -> None:
    story = Story2x()
    [started] = story.started(wh=None)
    assert started["payload"]["meterStart"] is None
    assert "anomalies" not in started
    events = story.tell(
        "Ended",
        1,
        register(1000, "Transaction.Begin", START),
        register(8000, at=READING),
        register(25000, "Transaction.End", STOP),
        at=STOP,
    )
    assert kinds(events) == ["meter_reading"] * 3 + ["completed", "session_cost"]
    assert events[3]["payload"]["energyUsed"] == 24.0
    assert not [event for event in events if "anomalies" in event]


def test_a_register_of_another_context_counts_if_there_is_no_better_and_is_noted() -> None:
    story = Story2x()
    started, reading = story.tell(
        "Started", 0, register(1000, at=START), at=START, evse={"id": 1, "connectorId": 1}
    )
    assert started["payload"]["meterStart"] == 1000
    assert started["anomalies"] == ["context_not_begin"]
    assert "anomalies" not in reading
    events = story.tell("Ended", 1, register(25000, at=STOP), at=STOP)
    completed = the(events, "completed")
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == ["context_not_begin", "context_not_end"]


def test_a_real_begin_takes_the_place_of_another_context() -> None:
    story = Story2x()
    story.tell("Started", 0, register(1010, at=START), at=START, evse={"id": 1})
    events = story.tell(
        "Ended",
        1,
        register(1000, "Transaction.Begin", START),
        register(25000, "Transaction.End", STOP),
        at=STOP,
    )
    completed = the(events, "completed")
    assert completed["payload"]["meterStart"] == 1000
    assert "anomalies" not in completed


def test_readings_of_an_ended_may_all_have_one_time() -> None:
    story = Story2x()
    story.started(wh=None)
    events = story.tell(
        "Ended",
        1,
        register(1000, "Transaction.Begin", STOP),
        register(25000, "Transaction.End", STOP),
        at=STOP,
    )
    assert the(events, "completed")["payload"]["energyUsed"] == 24.0
    assert not [event for event in events if "anomalies" in event]


def test_the_newest_register_ends_a_session_whatever_the_order() -> None:
    story = Story2x()
    story.started()
    readings = register(25000, at=STOP), register(5000)
    assert (
        the(story.tell("Ended", 1, *readings, at=STOP), "completed")["payload"]["energyUsed"]
        == 24.0
    )


def test_an_end_marked_in_an_earlier_message_counts_if_the_ended_has_none() -> None:
    story = Story2x()
    story.started()
    story.tell("Updated", 1, register(25000, "Transaction.End", STOP))
    completed = the(story.ended(2, None), "completed")
    assert completed["payload"]["meterStop"] == 25000
    assert "anomalies" not in completed


def test_without_a_register_at_the_end_there_is_no_energy_and_no_cost() -> None:
    story = Story2x()
    story.started()
    story.updated()
    [completed] = story.ended(2, None)
    assert completed["payload"]["meterStop"] is None
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown"]


def test_intervals_net_values_and_phases_are_no_register() -> None:
    story = Story2x()
    story.started(wh=None)
    values = [
        sample(500, "Energy.Active.Import.Interval", context="Transaction.End"),
        sample(600, "Energy.Active.Net", context="Transaction.End"),
        sample(700, REGISTER, phase="L1", context="Transaction.End"),
        sample(800, REGISTER, location="Upstream", context="Transaction.End"),
        sample(900, "Energy.Active.Export.Register", context="Transaction.End"),
    ]
    events = story.tell("Ended", 1, {"timestamp": STOP, "sampledValue": values}, at=STOP)
    assert the(events, "meter_reading")["payload"]["totalEnergy"] is None
    assert the(events, "completed")["payload"]["meterStop"] is None


def test_2x_registers_that_ran_backwards_give_neither_energy_nor_cost() -> None:
    story = Story2x()
    story.started(wh=5000)
    [_, completed] = story.ended(1, 4999)
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "register_backwards"]


def test_a_2x_session_time_that_is_not_over_yet_is_null() -> None:
    story = Story2x()
    events = story.started(at="2043-07-23T10:15:30Z")
    assert the(events, "started")["payload"]["startTime"] is None
    events = story.ended(1, at="2043-07-23T11:15:30Z")
    completed = the(events, "completed")
    assert completed["payload"]["stopTime"] is completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["clock_ahead"]
    assert the(events, "session_cost")["payload"]["energyConsumed"] == 24.0


def test_a_2x_end_before_its_start_has_no_duration() -> None:
    story = Story2x()
    story.started()
    completed = the(story.ended(1, 1500, "2023-12-07T10:15:29Z"), "completed")
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["stop_before_start"]


def test_what_was_wrong_with_the_started_is_told_again_at_the_end() -> None:
    story = Story2x()
    started, _ = story.started(at="1970-01-01T00:00:10Z")
    assert started["payload"]["startTime"] is None
    assert started["anomalies"] == ["clock_not_set"]
    completed = the(story.ended(1), "completed")
    assert completed["payload"]["duration"] is None
    assert completed["anomalies"] == ["clock_not_set"]


def test_more_energy_than_an_evse_can_deliver_is_not_billed() -> None:
    story = Story2x()
    story.started(wh=0)
    [_, completed] = story.ended(1, 6_100_000)  # 90 minutes at 4 MW are 6,000 kWh
    assert completed["payload"]["meterStop"] == 6_100_000
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "energy_implausible"]


def test_the_tariff_of_a_connector_is_that_of_the_evse() -> None:
    tariffs = Tariffs.parse(
        '[[tariff]]\ncurrency="EUR"\nenergy_rate=1\nconnectors=[2]\n'
        '[[tariff]]\ncurrency="USD"\nenergy_rate=2'
    )
    for evse, connector, currency in ((2, 1, "EUR"), (1, 2, "USD")):
        story = Story2x(tariffs)
        story.started(evse={"id": evse, "connectorId": connector})
        assert the(story.ended(1), "session_cost")["payload"]["currency"] == currency


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"eventType": None}, "eventType"),
        ({"eventType": "Paused"}, "expected"),
        ({"transactionInfo": None}, "transactionInfo"),
        ({"transactionInfo": {}}, "transactionId"),
        ({"transactionInfo": {"transactionId": ""}}, "transactionId"),
        ({"transactionInfo": {"transactionId": "x" * 256}}, "1 to 255"),
        ({"meterValue": 1}, "meterValue"),
        ({"meterValue": [{"timestamp": READING}]}, "sampledValue"),
    ],
)
def test_what_tells_no_transaction_is_indigestible_and_changes_no_row(
    fields: dict[str, Any], why: str
) -> None:
    story = Story2x()
    story.started()
    before = dict(story.rows.rows)
    payload = {
        "eventType": "Updated",
        "timestamp": READING,
        "triggerReason": "Trigger",
        "seqNo": 1,
        "transactionInfo": {"transactionId": TX},
        **fields,
    }
    with pytest.raises(IndigestibleFrameError, match=why):
        story.call("TransactionEvent", payload)
    assert story.rows.rows == before


@pytest.mark.parametrize("element", [1, {"timestamp": STOP}, {"sampledValue": [2]}])
def test_unreadable_meter_values_do_not_cost_a_started_or_ended(element: Any) -> None:  # noqa: ANN401 - JSON
    story = Story2x()
    begin = register(1000, "Transaction.Begin", START)
    started, _ = story.tell("Started", 0, begin, element, at=START, evse={"id": 1})
    assert started["payload"]["meterStart"] == 1000
    assert started["anomalies"] == ["meter_value_unreadable", "schema_violation"]
    assert kinds(story.ended(1)) == ["meter_reading", "completed", "session_cost"]
    story = Story2x()
    story.started()
    end = register(25000, "Transaction.End", STOP)
    completed = the(story.tell("Ended", 1, element, end, at=STOP), "completed")
    assert completed["payload"]["energyUsed"] == 24.0
    assert completed["anomalies"] == ["meter_value_unreadable", "schema_violation"]
    assert the(Story2x().tell("Ended", 1, meterValue="none"), "completed")["anomalies"] == [
        "cost_unknown",
        "meter_value_unreadable",
        "missing_start",
        "schema_violation",
    ]


def test_an_element_of_a_thousand_levels_costs_no_started() -> None:
    deep = "[" * 1000 + "]" * 1000
    [started] = Story2x().line(
        f'[2,"m","TransactionEvent",{{"eventType":"Started","timestamp":"{START}","seqNo":0,'
        f'"transactionInfo":{{"transactionId":"t"}},"meterValue":[{deep}]}}]'
    )
    assert started["anomalies"] == ["meter_value_unreadable", "schema_violation"]


@pytest.mark.parametrize(
    "fields",
    [
        {"evse": 1},
        {"evse": {"id": 0}},
        {"evse": {"id": "one"}},
        {"evse": {"id": 1, "connectorId": 0}},
        {"evse": {"id": 1, "connectorId": 101}},
        {"idToken": "user123"},
        {"idToken": {"type": "Central"}},
        {"tx": 7},
        {"seq_no": "0"},
        {"seq_no": None},
        {"violation": "seen by the ingress"},
    ],
)
def test_a_2x_message_that_breaks_its_schema_is_read_as_far_as_it_goes(
    fields: dict[str, Any],
) -> None:
    story = Story2x()
    [started] = story.started(**{"wh": None, **fields})
    assert started["anomalies"] == ["schema_violation"]
    assert started["payload"]["transactionId"] in {TX, "7"}


def test_answers_awaited_are_bounded() -> None:
    story = Story2x()
    for number in range(33):
        story.started(tx=f"t{number}", evse={"id": number + 1}, message_id=f"m{number}", wh=None)
    for number in range(33):
        story.answer({"idTokenInfo": {"status": "Invalid"}}, f"m{number}", "TransactionEvent")
    first = the(story.ended(1, tx="t0"), "completed")
    second = the(story.ended(1, tx="t1"), "completed")
    assert first["anomalies"] == ["cost_unknown"]
    assert second["anomalies"] == ["cost_unknown", "id_tag_invalid"]


def test_offline_trigger_remote_start_and_charging_state_make_no_difference() -> None:
    story = Story2x()
    info = {"chargingState": "EVConnected", "remoteStartId": 9, "timeSpentCharging": 1}
    started, _ = story.started(offline=True, info=info)
    assert "anomalies" not in started
    assert story.updated(1, None, trigger="ChargingStateChanged", info=info) == []
    assert "anomalies" not in the(story.ended(2, offline=True, info=info), "completed")


def test_a_charge_point_that_changes_its_version_leaves_no_session_open() -> None:
    story = Story2x(protocol="ocpp1.6")
    story.start(7, connectorId=2)
    story.protocol = "ocpp2.0.1"
    abandoned, started, _ = story.started()
    assert abandoned["payload"]["transactionId"] == 7
    assert abandoned["payload"]["status"] == "abandoned"
    assert started["payload"]["transactionId"] == TX
    story.started(tx="elsewhere", evse=None, wh=None)
    story.protocol = "ocpp1.6"
    events = story.start(8, timestamp="2023-12-08T10:00:00Z")
    assert [event["payload"]["transactionId"] for event in events] == ["elsewhere", TX, 8]
    assert [event["payload"]["status"] for event in events] == ["abandoned"] * 2 + ["started"]
    assert kinds(story.stop(8, timestamp="2023-12-08T11:00:00Z")) == ["completed", "session_cost"]
    assert kinds(story.stop(7)) == ["completed", "session_cost"]


def test_what_2_1_adds_tells_nothing_of_a_session() -> None:
    story = Story2x(protocol="ocpp2.1")
    details = {"failureToCalculate": False, "totalCost": {"currency": "EUR", "typeOfCost": "Final"}}
    story.started(info={"tariffId": "t1", "operationMode": "ChargingOnly"}, evseSleep=True)
    cost = the(story.ended(1, costDetails=details, info={"tariffId": "t1"}), "session_cost")
    assert cost["payload"]["currency"] == "USD"
    before = dict(story.rows.rows)
    for action in ("NotifySettlement", "NotifyDERAlarm"):
        assert story.call(action, {"transactionId": TX}) == []
    assert (
        story.call("CostUpdated", {"totalCost": 1, "transactionId": TX}, direction="outbound") == []
    )
    stream = '{"id":1,"pending":0,"basetime":"2023-12-07T10:30:30Z","data":[{"t":0.5,"v":"8"}]}'
    sent = f'[6,"s1","NotifyPeriodicEventStream",{stream}]'
    assert story.put(frame(sent, kind="SEND", action="NotifyPeriodicEventStream")) == []
    complaint = '[5,"m1","FormatViolation","",{}]'
    assert story.put(frame(complaint, kind="CALLRESULTERROR", action="TransactionEvent")) == []
    assert story.rows.rows == before


def test_a_transaction_event_that_is_sent_without_asking_for_an_answer_counts() -> None:
    story = Story2x(protocol="ocpp2.1")
    payload = f'{{"eventType":"Started","timestamp":"{START}","triggerReason":"Trigger","seqNo":0,'
    sent = f'[6,"s1","TransactionEvent",{payload}"transactionInfo":{{"transactionId":"t"}}}}]'
    [started] = story.put(frame(sent, kind="SEND", action="TransactionEvent", message_id="s1"))
    assert started["payload"]["transactionId"] == "t"
