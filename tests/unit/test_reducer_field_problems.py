"""What went wrong in the field, as reported in public: repository and issue beside each case.

Frames written out as text are re-typed from the reports, shortened where they repeat themselves;
where a report shows no frames, or not all of them, the test rebuilds its situation.
"""

from typing import Any

import orjson
import pytest
from frames16 import Story, kinds

ACCEPTED = '{"transactionId":%d,"idTagInfo":{"status":"Accepted"}}'


def _answered(story: Story, call: str, transaction_id: int) -> list[dict[str, Any]]:
    """The call, then the answer that gives the id."""
    message_id = orjson.loads(call)[1]
    return story.line(call) + story.line(
        f'[3,"{message_id}",{ACCEPTED % transaction_id}]', direction="outbound"
    )


def test_a_start_sent_four_times_with_one_message_id() -> None:
    """matth-x/MicroOcpp#50."""
    call = (
        '[2,"531531536","StartTransaction",{"connectorId":1,"meterStart":0,'
        '"timestamp":"2022-02-24T10:01:39.000Z","idTag":"vckjvcJvjk337nKJCn92"}]'
    )
    story = Story()
    for _ in range(3):
        assert story.line(call) == []
    assert kinds(_answered(story, call, 58)) == ["started"]
    assert _answered(story, call, 58) == []


def test_a_stop_that_lost_its_id_when_it_was_sent_again() -> None:
    """matth-x/MicroOcpp#50: the same message id, then transactionId -1."""
    stop = (
        '[2,"531531539","StopTransaction",{"meterStop":2,'
        '"timestamp":"2022-02-24T13:54:20.000Z","transactionId":%d}]'
    )
    story = Story()
    story.start(58, meterStart=0, timestamp="2022-02-24T10:01:39.000Z")
    assert kinds(story.line(stop % 58)) == ["completed", "session_cost"]
    assert story.line(stop % -1) == []


def test_a_start_sent_again_with_a_new_message_id_and_refused_as_concurrent() -> None:
    """matth-x/MicroOcpp#237."""
    call = (
        '[2,"%d","StartTransaction",{"connectorId":1,"idTag":"0000001012951691",'
        '"meterStart":1,"timestamp":"2023-12-17T07:48:40.564Z"}]'
    )
    story = Story()
    story.wait_until("2023-12-17T07:48:40Z")
    assert kinds(_answered(story, call % 1000005, 113)) == ["started"]
    story.line(call % 1000006)
    answer = '[3,"1000006",{"transactionId":113,"idTagInfo":{"status":"ConcurrentTx"}}]'
    assert story.line(answer, direction="outbound") == []
    [charging] = story.line(
        '[2,"1000007","StatusNotification",{"connectorId":1,"errorCode":"NoError",'
        '"status":"Charging","timestamp":"2023-12-17T07:48:40.566Z"}]'
    )
    assert charging["payload"]["transactionId"] == 113
    completed, cost = story.line(
        '[2,"1000008","StopTransaction",{"meterStop":1,"timestamp":"2023-12-17T07:48:40.695Z",'
        '"transactionId":113,"reason":"DeAuthorized"}]'
    )
    assert completed["payload"]["energyUsed"] == 0.0
    assert completed["payload"]["duration"] == pytest.approx(0.131 / 60)
    assert completed["payload"]["reason"] == "DeAuthorized"
    assert cost["payload"]["estimatedCost"] == 0.0


def test_a_start_sent_again_after_a_reconnection_and_given_a_new_id() -> None:
    """mobilityhouse/ocpp#186: an ABB Terra AC repeats the Start with its old timestamp."""
    call = (
        '[2, "%s", "StartTransaction", {"connectorId": 1, "idTag": "20:69:C0:21", '
        '"meterStart": 0, "timestamp": "2021-03-24T07:06:40.000Z"}]'
    )
    story = Story()
    assert kinds(_answered(story, call % "0809558", 1)) == ["started"]
    assert _answered(story, call % "0809559", 2) == []
    [completed, _] = story.stop(2, meterStop=500, timestamp="2021-03-24T08:06:40.000Z")
    assert completed["payload"]["transactionId"] == 1
    assert completed["payload"]["duration"] == 60.0


def test_a_session_whose_stop_never_came() -> None:
    """steve-community/steve#94: it must not stay open for ever."""
    story = Story()
    story.start(1, meterStart=100)
    abandoned, started = story.start(2, meterStart=900, timestamp="2023-12-09T08:00:00Z")
    assert abandoned["payload"]["status"] == "abandoned"
    assert started["payload"]["transactionId"] == 2


def test_a_session_started_offline_whose_stop_says_minus_one() -> None:
    """EVerest/libocpp#495: the session stays open, and the Stop is not lost."""
    story = Story()
    story.line(
        '[2,"2e55de9d-3fea-4782-9b57-2bc027976a31","StatusNotification",{"connectorId":1,'
        '"errorCode":"NoError","info":"EVConnected","status":"Preparing",'
        '"timestamp":"2024-02-26T09:12:49.706Z"}]'
    )
    start = (
        '[2,"941dfb0b-b995-45f5-9833-9dfb3f60dcfb","StartTransaction",{"connectorId":1,'
        '"idTag":"DEADBEEF","meterStart":971,"timestamp":"2024-02-26T09:12:50.000Z"}]'
    )
    assert kinds(_answered(story, start, 19)) == ["started"]
    [completed] = story.stop(-1, idTag="DEADBEEF", meterStop=980)
    assert completed["anomalies"] == ["cost_unknown", "invalid_transaction_id", "missing_start"]
    assert completed["payload"]["meterStop"] == 980


def test_a_stop_whose_start_was_lost_offline() -> None:
    """matth-x/MicroOcpp#454."""
    [completed] = Story().stop(409061)
    assert completed["anomalies"] == ["cost_unknown", "missing_start"]


def test_a_start_and_its_stop_hours_late_in_a_burst() -> None:
    """matth-x/MicroOcpp#454: the times are those of the charge point, not of receipt."""
    story = Story()
    story.start(1, timestamp="2023-12-06T22:00:00Z")
    completed, _ = story.stop(1, timestamp="2023-12-07T01:30:00Z")
    assert completed["timestamp"] == "2023-12-07T10:15:32Z"
    assert completed["payload"]["duration"] == 210.0


def test_meter_values_that_count_per_session_while_start_and_stop_do_not() -> None:
    """lbbrhzn/ocpp#2093 (Grizzl-E): energy comes from Start and Stop alone."""
    story = Story()
    story.start(1, meterStart=4_076_400)
    for register in ("104", "228", "353"):
        reading = story.values({"value": register, "unit": "Wh"})
        assert reading["payload"]["totalEnergy"] == int(register) / 1000
    completed, _ = story.stop(1, meterStop=4_076_753)
    assert completed["payload"]["energyUsed"] == 0.353


def test_a_stop_register_below_the_start_register() -> None:
    """dallmann-consulting/OCPP.Core#33, and lorenzodonini/ocpp-go#114 where -1 means unknown."""
    story = Story()
    story.start(1, meterStart=0)
    [completed] = story.stop(1, meterStop=-1)
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "register_backwards"]


def test_a_clock_that_sends_local_time_without_a_zone() -> None:
    """evcc-io/evcc#10399 (Growatt THOR)."""
    story = Story()
    call = (
        '[2,"288115","StartTransaction",{"connectorId":1,"idTag":"evcc","meterStart":0,'
        '"reservationId":0,"timestamp":"2023-10-19T15:28:07"}]'
    )
    [started] = _answered(story, call, 1)
    assert started["payload"]["startTime"] == "2023-10-19T15:28:07Z"
    assert started["anomalies"] == ["timestamp_without_zone"]


def test_a_clock_that_is_not_set_yet() -> None:
    """matth-x/MicroOcpp#311: a status needs no clock."""
    story = Story()
    for connector in (0, 1):
        [event] = story.line(
            f'[2,"100000{connector}","StatusNotification",{{"connectorId":{connector},'
            '"errorCode":"NoError","status":"Available","timestamp":"1970-01-01T00:00:00.740Z"}]'
        )
        assert event["payload"]["connectorId"] == connector
        assert "anomalies" not in event


def test_two_registers_in_one_meter_value() -> None:
    """matth-x/MicroOcpp#128, with a measurand that OCPP does not know."""
    story = Story()
    story.start(671421, meterStart=0)
    [event] = story.line(
        '[2,"1","MeterValues",{"connectorId":1,"transactionId":671421,"meterValue":[{"timestamp":'
        '"2023-03-17T04:55:19.000Z","sampledValue":[{"value":"0","context":"Sample.Periodic",'
        '"measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"230","context":'
        '"Sample.Periodic","measurand":"Voltage","phase":"L1","unit":"V"},{"value":"124",'
        '"context":"Sample.Periodic","measurand":"Current.import","unit":"A"},{"value":"1244",'
        '"context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
        '{"value":"50","context":"Sample.Periodic","measurand":"Frequency","unit":"Hz"}]}]}]'
    )
    assert event["payload"]["totalEnergy"] == 0.0
    assert event["payload"]["measurands"]["Current.import"]["value"] == 124.0
    assert event["payload"]["measurands"]["Frequency"]["unit"] == "Hz"
    assert event["anomalies"] == ["duplicate_measurand"]


def test_numbers_padded_with_blanks() -> None:
    """matth-x/MicroOcpp#193."""
    [event] = Story().line(
        '[2,"1000013","MeterValues",{"connectorId":1,"transactionId":409061,"meterValue":[{'
        '"timestamp":"2023-09-27T10:30:12.815Z","sampledValue":[{"value":" 0.0","context":'
        '"Sample.Periodic","measurand":"Energy.Active.Import.Register","location":"Outlet","unit":'
        '"Wh"},{"value":" 0.0","context":"Sample.Periodic","measurand":"Power.Active.Import",'
        '"location":"Outlet","unit":"W"},{"value":"230.0","context":"Sample.Periodic","measurand":'
        '"Voltage","phase":"L1-N","location":"Outlet","unit":"V"},{"value":"37.0","context":'
        '"Sample.Periodic","measurand":"Temperature","location":"Cable","unit":"Celsius"},'
        '{"value":"25.0","context":"Sample.Periodic","measurand":"SoC","location":"EV","unit":'
        '"Percent"}]}]}]'
    )
    assert event["payload"]["transactionId"] == 409061
    assert event["payload"]["currentPower"] == event["payload"]["totalEnergy"] == 0.0
    assert list(event["payload"]["measurands"])[2:] == ["Voltage.L1-N", "Temperature", "SoC"]
    assert "anomalies" not in event


def test_the_start_register_repeated_in_every_meter_value() -> None:
    """lbbrhzn/ocpp#1838 (Growatt THOR 22AS): the running register keeps the plain name."""
    [event] = Story().line(
        '[2,"3202","MeterValues",{"connectorId":1,"transactionId":1767583807,"meterValue":[{'
        '"timestamp":"2026-01-05T14:58:38+10:00","sampledValue":[{"value":"163630","context":'
        '"Sample.Periodic","format":"Raw","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
        '{"value":"157440","context":"Transaction.Begin","format":"Raw","measurand":'
        '"Energy.Active.Import.Register","unit":"Wh"},{"value":"5.84","context":"Sample.Periodic",'
        '"format":"Raw","measurand":"Current.Import","phase":"L1","unit":"A"},{"value":"5.90",'
        '"context":"Sample.Periodic","format":"Raw","measurand":"Current.Import","phase":"L2",'
        '"unit":"A"}]}]}]'
    )
    assert event["payload"]["timestamp"] == "2026-01-05T04:58:38Z"
    assert event["payload"]["totalEnergy"] == 163.63
    begin = event["payload"]["measurands"]["Energy.Active.Import.Register.Transaction.Begin"]
    assert begin == {"value": 157.44, "unit": "kWh", "context": "Transaction.Begin"}
    assert "anomalies" not in event


def test_power_by_phase_and_a_frequency_without_unit() -> None:
    """lbbrhzn/ocpp#374 (ABB Terra) and #1742: each phase under a name of its own."""
    [event] = Story().line(
        '[2, "5430689", "MeterValues", {"connectorId": 1, "transactionId": 1643951526, '
        '"meterValue": [{"timestamp": "2022-02-04T05:29:17.000Z", "sampledValue": ['
        '{"value": "222.30", "context": "Sample.Periodic", "format": "Raw", "measurand": '
        '"Voltage", "phase": "L1-N", "unit": "V"}, {"value": "3144", "context": '
        '"Sample.Periodic", "format": "Raw", "measurand": "Power.Active.Import", "phase": "L1", '
        '"unit": "W"}, {"value": "228.70", "context": "Sample.Periodic", "format": "Raw", '
        '"measurand": "Voltage", "phase": "L2-N", "unit": "V"}, {"value": "0", "context": '
        '"Sample.Periodic", "format": "Raw", "measurand": "Power.Active.Import", "phase": "L2", '
        '"unit": "W"}, {"format": "Raw","location": "Outlet","context": "Sample.Periodic",'
        '"measurand": "Frequency","value": "60.0"}]}]}]'
    )
    assert event["payload"]["currentPower"] == 3.144
    assert event["payload"]["measurands"]["Voltage.L1-N"]["value"] == 222.3
    assert event["payload"]["measurands"]["Voltage.L2-N"]["value"] == 228.7
    assert event["payload"]["measurands"]["Frequency"]["unit"] == "Hertz"


def test_a_unit_that_contradicts_the_value_is_taken_at_its_word() -> None:
    """lbbrhzn/ocpp#1989: a kWh value labelled Wh can't be told from a small Wh value."""
    event = Story().values({"value": "733.255884", "unit": "Wh"})
    assert event["payload"]["totalEnergy"] == 0.733255884


def test_meter_values_after_the_stop_and_a_register_that_went_on() -> None:
    """lbbrhzn/ocpp#1069 (Wallbox Copper SB): the rest belongs to no session."""
    story = Story()
    story.start(1706601047, meterStart=2_258_000, timestamp="2024-01-30T07:50:47Z")
    completed, _ = story.line(
        '[2,"585855959","StopTransaction",{"meterStop": 2259988,"timestamp": '
        '"2024-01-30T14:29:16Z","idTag": "XXXXXX","transactionData": [],"reason": "Local",'
        '"transactionId": 1706601047}]'
    )
    assert completed["payload"]["energyUsed"] == 1.988
    event = story.values({"value": "2259992.1", "unit": "Wh"})
    assert event["payload"]["transactionId"] is None
    assert event["payload"]["totalEnergy"] == 2259.9921
    assert "anomalies" not in event


def test_transaction_end_values_after_the_stop_and_values_of_connector_0() -> None:
    """sap-labs-france/ev-server#53."""
    story = Story()
    story.start(7)
    story.stop(7)
    end = {"value": "25000", "context": "Transaction.End", "measurand": "SoC"}
    event = story.values(end, transactionId=7)
    assert event["payload"]["transactionId"] == 7
    assert story.values({"value": "1"}, connector=0)["payload"]["connectorId"] == 0


def test_payloads_that_break_their_schema_are_read_as_far_as_they_go() -> None:
    """mobilityhouse/ocpp#54: extra fields, numbers for texts."""
    story = Story()
    [event] = story.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": 0,
            "meterValue": [{"timestamp": "2019-08-12T09:00:00Z", "sampledValue": [{"value": 7}]}],
            "values": None,
        },
        violation="additional property 'values'",
    )
    assert event["payload"]["totalEnergy"] == 0.007
    assert event["anomalies"] == ["invalid_transaction_id", "schema_violation"]
