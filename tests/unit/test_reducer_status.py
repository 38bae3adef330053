"""StatusNotification → status_changed."""

import pytest
from frames16 import Story, kinds

from processor.reducer import IndigestibleFrameError


def test_the_first_status_follows_unknown() -> None:
    [event] = Story().status("Available")
    assert event["payload"] == {
        "connectorId": 1,
        "status": "Available",
        "previousStatus": "Unknown",
        "transactionId": None,
        "errorCode": "NoError",
    }


def test_an_unchanged_status_is_not_repeated() -> None:
    story = Story()
    story.status("Available")
    assert story.status("Available") == []
    [event] = story.status("Preparing")
    assert event["payload"]["previousStatus"] == "Available"


def test_a_changed_error_code_is_an_event() -> None:
    story = Story()
    story.status("Faulted", error="GroundFailure")
    [event] = story.status("Faulted", error="OverVoltage")
    assert event["payload"]["previousStatus"] == event["payload"]["status"] == "Faulted"
    assert event["payload"]["errorCode"] == "OverVoltage"


def test_the_open_session_is_named() -> None:
    story = Story()
    story.start(7)
    assert story.status("Charging")[0]["payload"]["transactionId"] == 7
    story.stop(7)
    assert story.status("Finishing")[0]["payload"]["transactionId"] is None


def test_sessions_never_change_the_status() -> None:
    story = Story()
    story.status("Preparing")
    story.start(7)
    assert story.status("Preparing") == []
    story.stop(7)
    assert story.status("Available")[0]["payload"]["previousStatus"] == "Preparing"


def test_connector_0_is_the_charge_point_itself() -> None:
    story = Story()
    assert story.status("Available", connector=0)[0]["payload"]["connectorId"] == 0
    assert kinds(story.status("Available", connector=1)) == ["status_changed"]
    assert story.status("Available", connector=0) == []


def test_a_missing_error_code_is_null() -> None:
    [event] = Story().call("StatusNotification", {"connectorId": 1, "status": "Available"})
    assert event["payload"]["errorCode"] is None
    assert event["anomalies"] == ["schema_violation"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"status": "Available"}, "connectorId is missing"),
        ({"connectorId": None, "status": "Available"}, "connectorId is None"),
        ({"connectorId": "one", "status": "Available"}, "connectorId is 'one'"),
        ({"connectorId": True, "status": "Available"}, "connectorId is True"),
        ({"connectorId": 1.5, "status": "Available"}, "connectorId is 1.5"),
        ({"connectorId": -1, "status": "Available"}, "-1 is not within 0 to 10000"),
        ({"connectorId": 10_001, "status": "Available"}, "10001 is not within 0 to 10000"),
        ({"connectorId": 1}, "status is missing"),
        ({"connectorId": 1, "status": ""}, "status is ''"),
        ({"connectorId": 1, "status": 5}, "status is 5"),
    ],
)
def test_without_connector_or_status_the_frame_is_indigestible(
    payload: object, reason: str
) -> None:
    with pytest.raises(IndigestibleFrameError, match=reason):
        Story().call("StatusNotification", payload)
