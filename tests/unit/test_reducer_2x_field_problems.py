"""What went wrong in the field with OCPP 2.0.1, as reported in public: repository and issue.

Frames are re-typed from the reports, shortened where they repeat themselves; where a report shows
none, the test rebuilds its situation.
"""

from frames2x import Story2x, register, the
from frames16 import REGISTER, kinds


def test_the_messages_of_an_everest_wallbox() -> None:
    """EVerest/EVerest#1835: evse and idToken in the Started only, phases beside the total."""
    story = Story2x()
    tx = "57da73c2-49ee-4abc-be95-cb12f783cc91"
    [occupied] = story.line(
        '[2,"0ebb5208-69e8-44e7-816e-c110b27134d4","StatusNotification",{"timestamp":'
        '"2026-02-17T07:13:22.715Z","connectorStatus":"Occupied","evseId":1,"connectorId":1}]'
    )
    assert occupied["payload"]["status"] == "Occupied"
    story.tell(
        "Started", 0, at="2026-02-17T07:14:05.100Z", tx=tx,
        evse={"id": 1, "connectorId": 1}, idToken={"idToken": "redacted", "type": "ISO14443"},
    )  # fmt: skip
    [event] = story.line(
        '[2,"5ab5279a-52e4-482a-987f-2a51d38c6669","TransactionEvent",{"eventType":"Updated",'
        '"timestamp":"2026-02-17T07:14:25.138Z","triggerReason":"MeterValuePeriodic","seqNo":1,'
        '"offline":false,"numberOfPhasesUsed":null,"reservationId":null,"transactionInfo":{'
        '"transactionId":"57da73c2-49ee-4abc-be95-cb12f783cc91","chargingState":"Charging",'
        '"timeSpentCharging":null,"stoppedReason":null,"remoteStartId":null},"evse":null,'
        '"idToken":null,"meterValue":[{"timestamp":"2026-02-17T07:14:25.138Z","sampledValue":[{'
        '"value":171.0,"context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
        '"phase":null,"location":"Outlet","signedMeterValue":null,"unitOfMeasure":{"unit":"Wh",'
        '"multiplier":0}},{"value":57.0,"context":"Sample.Periodic","measurand":'
        '"Energy.Active.Import.Register","phase":"L1","location":"Outlet","signedMeterValue":null,'
        '"unitOfMeasure":{"unit":"Wh","multiplier":0}}]}]}]'
    )
    assert event["payload"]["transactionId"] == tx
    assert event["payload"]["evseId"] == event["payload"]["connectorId"] == 1
    assert event["payload"]["totalEnergy"] == 0.171
    assert event["payload"]["measurands"][f"{REGISTER}.L1"]["value"] == 0.057
    assert "anomalies" not in event


def test_a_connector_that_is_not_named_is_not_connector_1() -> None:
    """lbbrhzn/ocpp#2135, first part."""
    story = Story2x()
    started, _ = story.started(evse={"id": 2})
    assert started["payload"]["connectorId"] is None
    assert started["payload"]["evseId"] == 2


def test_a_queue_played_back_does_not_revive_an_ended_transaction() -> None:
    """lbbrhzn/ocpp#2135 and #2141: seqNo ignored, offline messages applied as if live."""
    story = Story2x()
    story.started(0)
    story.updated(1)
    story.ended(2)
    for again in (story.started(0, offline=True), story.updated(1, offline=True)):
        assert again == []
    assert story.connector("Available")[0]["payload"]["transactionId"] is None


def test_a_rebooted_charge_point_uses_its_ids_again_and_counts_from_0() -> None:
    """lbbrhzn/ocpp#2141."""
    story = Story2x()
    story.started(0, tx="1")
    story.updated(1, tx="1")
    # It lost power; this is the next car.
    abandoned, started, _ = story.started(0, tx="1", at="2023-12-07T14:00:00Z", wh=5100)
    assert abandoned["payload"]["energyUsed"] == 4.0
    assert started["anomalies"] == ["transaction_id_reused"]
    assert len(story.updated(1, 6000, tx="1", at="2023-12-07T14:10:00Z")) == 1
    completed = the(story.ended(2, 7100, "2023-12-07T15:00:00Z", tx="1"), "completed")
    assert completed["payload"]["energyUsed"] == 2.0


def test_a_begin_of_0_sent_offline_does_not_bill_the_meters_whole_life() -> None:
    """citrineos/citrineos-core#1060: the charge point could not read its meter yet."""
    story = Story2x()
    story.wait_until("2026-09-11T08:00:01Z")
    begin = register(0, "Transaction.Begin", "2026-09-10T08:00:00Z")
    story.tell("Started", 0, begin, at="2026-09-10T08:00:00Z", offline=True, evse={"id": 1})
    [reading] = story.updated(1, 909_948, at="2026-09-10T08:05:00Z")
    assert reading["anomalies"] == ["register_jump"]
    end = register(910_031, "Transaction.End", "2026-09-11T08:00:00Z")
    completed = the(story.tell("Ended", 2, end, at="2026-09-11T08:00:00Z"), "completed")
    assert completed["payload"]["meterStart"] == 0
    assert completed["payload"]["meterStop"] == 910_031
    assert completed["payload"]["energyUsed"] is None
    assert completed["anomalies"] == ["cost_unknown", "energy_implausible"]


def test_a_register_that_counts_from_0_in_each_session_is_billed() -> None:
    """As lbbrhzn/ocpp#2093: a 0 at the begin is no fault in itself."""
    story = Story2x()
    story.started(wh=0)
    story.updated(1, 5000)
    completed = the(story.ended(2, 24000), "completed")
    assert completed["payload"]["energyUsed"] == 24.0


def test_meter_values_sent_beside_the_transaction_belong_to_it() -> None:
    """citrineos/citrineos-core#869: MeterValues during a transaction were never linked to it."""
    story = Story2x()
    story.started()
    [event] = story.call("MeterValues", {"evseId": 1, "meterValue": [register(4000)]})
    assert event["payload"]["transactionId"] is not None


def test_a_unit_that_ocpp_does_not_know_gives_no_energy() -> None:
    """citrineos/citrineos-ocpi#57: "KWH"; numbers from 1, remoteStartId as text, no evse."""
    story = Story2x()
    started, _ = story.line(
        '[2,"15106be4-57ca-11ee-8c99-0242ac120002","TransactionEvent",{"eventType":"Started",'
        '"meterValue":[{"sampledValue":[{"value":0}],"timestamp":"2023-10-01T00:00:00.000Z"}],'
        '"timestamp":"2023-10-01T00:00:00.000Z","triggerReason":"RemoteStart","seqNo":1,'
        '"transactionInfo":{"transactionId":"2","remoteStartId":"1"}}]'
    )
    assert started["payload"]["meterStart"] == 0
    assert started["anomalies"] == ["context_not_begin"]
    [event] = story.line(
        '[2,"15106be4-57ca-11ee-8c99-0242ac120002","TransactionEvent",{"eventType":"Updated",'
        '"meterValue":[{"sampledValue":[{"value":100,"context":"Sample.Periodic","measurand":'
        '"Energy.Active.Import.Register","unitOfMeasure":{"unit":"KWH"}}],"timestamp":'
        '"2023-10-01T00:10:00.000Z"}],"timestamp":"2023-10-01T00:10:00.000Z","triggerReason":'
        '"MeterValuePeriodic","seqNo":2,"transactionInfo":{"transactionId":"2","chargingState":'
        '"Charging","timeSpentCharging":600}}]'
    )
    assert event["payload"]["totalEnergy"] is None
    assert event["payload"]["measurands"][REGISTER] == {
        "value": 100.0,
        "unit": "KWH",
        "context": "Sample.Periodic",
    }
    assert event["anomalies"] == ["unit_unexpected"]


def test_the_stopping_token_is_not_the_sessions() -> None:
    """EVerest/libocpp#577: an idToken in an Ended that no idToken caused."""
    story = Story2x()
    story.started(idToken=None)
    token = {"idToken": "somebody", "type": "ISO14443"}
    events = story.ended(1, idToken=token)
    assert kinds(events) == ["meter_reading", "completed", "session_cost"]
    assert events[1]["payload"]["idTag"] is None
