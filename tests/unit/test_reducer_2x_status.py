"""StatusNotification and NotifyEvent of OCPP 2.0.1 and 2.1."""

from typing import Any

import pytest
from frames2x import READING, TX, Story2x

from processor.reducer import IndigestibleFrameError


def report(component: object, value: object = "Occupied", **fields: object) -> dict[str, Any]:
    """An element of a NotifyEvent's eventData."""
    return {
        "eventId": 1,
        "timestamp": READING,
        "trigger": "Delta",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": component,
        "variable": {"name": "AvailabilityState"},
        **fields,
    }


def notify(story: Story2x, *reports: object) -> list[dict[str, Any]]:
    payload = {"generatedAt": READING, "seqNo": 0, "eventData": list(reports)}
    return story.call("NotifyEvent", payload)


CONNECTOR = {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}


def test_a_2x_status_is_told_when_it_changes() -> None:
    story = Story2x()
    [first] = story.connector("Available")
    assert first["payload"] == {
        "connectorId": 1,
        "status": "Available",
        "previousStatus": "Unknown",
        "transactionId": None,
        "errorCode": None,
        "evseId": 1,
    }
    assert "anomalies" not in first
    assert story.connector("Available") == []
    [second] = story.connector("Faulted")
    assert second["payload"]["previousStatus"] == "Available"


def test_connectors_of_evses_have_statuses_of_their_own() -> None:
    story = Story2x()
    for evse in (1, 2):
        for connector in (1, 2):
            [event] = story.connector("Available", evse, connector)
            assert event["payload"]["previousStatus"] == "Unknown"
            assert (event["payload"]["evseId"], event["payload"]["connectorId"]) == (
                evse,
                connector,
            )


def test_the_transaction_is_named_at_its_connector_only() -> None:
    story = Story2x()
    story.started(evse={"id": 1})
    assert story.connector("Occupied", 1, 1)[0]["payload"]["transactionId"] == TX
    story.updated(1, evse={"id": 1, "connectorId": 1})
    assert story.connector("Available", 1, 1)[0]["payload"]["transactionId"] == TX
    assert story.connector("Available", 1, 2)[0]["payload"]["transactionId"] is None
    assert story.connector("Available", 2, 1)[0]["payload"]["transactionId"] is None


def test_notify_event_tells_the_same_and_is_not_repeated() -> None:
    story = Story2x(protocol="ocpp2.1")
    story.started()
    [event] = notify(story, report(CONNECTOR))
    assert event["payload"]["status"] == "Occupied"
    assert event["payload"]["transactionId"] == TX
    assert story.connector("Occupied") == []
    assert notify(story, report(CONNECTOR)) == []


def test_evse_and_charge_point_have_an_availability_too() -> None:
    story = Story2x()
    evse, station = notify(
        story,
        report({"name": "EVSE", "evse": {"id": 2}}, "Available"),
        report({"name": "chargingstation"}, "Unavailable", variable={"name": "availabilitySTATE"}),
    )
    assert (evse["payload"]["evseId"], evse["payload"]["connectorId"]) == (2, None)
    assert (station["payload"]["evseId"], station["payload"]["connectorId"]) == (0, None)


def test_other_notify_events_tell_no_status() -> None:
    story = Story2x()
    others = [
        report(CONNECTOR, variable={"name": "Problem"}),
        report({"name": "CPPWMController", "evse": {"id": 1}}),
        report(None),
        report(CONNECTOR, variable=None),
        7,
    ]
    assert notify(story, *others) == []
    assert story.call("NotifyEvent", {"eventData": 3}) == []


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"connectorId": 1, "connectorStatus": "Available"}, "evseId is missing"),
        ({"evseId": 10_001, "connectorId": 1, "connectorStatus": "Available"}, "0 to 10000"),
        ({"evseId": 1, "connectorStatus": "Available"}, "connectorId is missing"),
        ({"evseId": 1, "connectorId": 101, "connectorStatus": "Available"}, "0 to 100"),
        ({"evseId": 1, "connectorId": 1}, "connectorStatus is missing"),
    ],
)
def test_without_place_or_status_a_2x_status_is_indigestible(payload: object, why: str) -> None:
    story = Story2x()
    with pytest.raises(IndigestibleFrameError, match=why):
        story.call("StatusNotification", payload)
    assert story.rows.rows == {}


@pytest.mark.parametrize(
    ("component", "value", "why"),
    [
        ({"name": "Connector"}, "Available", "id is missing"),
        ({"name": "EVSE", "evse": {"id": 0}}, "Available", "1 to 10000"),
        ({"name": "Connector", "evse": {"id": 1}}, "Available", "connectorId is missing"),
        (CONNECTOR, None, "actualValue"),
    ],
)
def test_an_availability_without_place_or_value_is_indigestible(
    component: object, value: object, why: str
) -> None:
    story = Story2x()
    with pytest.raises(IndigestibleFrameError, match=why):
        notify(story, report({"name": "EVSE", "evse": {"id": 3}}, "Available"),
               report(component, value))  # fmt: skip
    assert story.rows.rows == {}
