"""Topics and variables of the MQTT contract's document, to the letter."""

import pytest

from egress.routing import Router
from egress.settings import EgressSettings
from schemas.frames import Kind, OcppFrame
from schemas.mqtt import EVENT_TOPICS

TOPICS = {
    "started": "csms/transactions/{clientID}/started",
    "completed": "csms/transactions/{clientID}/completed",
    "meter_reading": "csms/transactions/{clientID}/meter_reading",
    "status_changed": "csms/connectors/{clientID}/status_changed",
    "session_cost": "csms/billing/{clientID}/session_cost",
}
VARIABLES = {
    "MQTT_ENABLED": True,
    "MQTT_HOST": "localhost",
    "MQTT_PORT": 1883,
    "MQTT_BUSINESS_EVENTS_ENABLED": True,
}


def test_business_topics() -> None:
    assert {
        name: topic.replace("{client_id}", "{clientID}") for name, topic in EVENT_TOPICS.items()
    } == TOPICS


@pytest.mark.parametrize(
    ("kind", "raw", "topic"),
    [
        ("CALL", b'[2,"1","Heartbeat",{}]', "ocpp/messages/charge-point-001/Heartbeat"),
        ("CALLRESULT", b'[3,"1",{}]', "ocpp/responses/charge-point-001/Heartbeat"),
    ],
)
def test_protocol_topics(kind: Kind, raw: bytes, topic: str) -> None:
    frame = OcppFrame(
        client_id="charge-point-001",
        received_at_ns=1,
        direction="inbound",
        protocol="ocpp1.6",
        kind=kind,
        message_id="1",
        action="Heartbeat",
        raw=raw,
        connection_id="c",
    )
    (publication,) = Router().frame(frame)
    assert publication.topic == topic


def test_variables_have_the_documents_values_where_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    settings = EgressSettings(_env_file=None)
    assert {name: getattr(settings, name.lower()) for name in VARIABLES} == VARIABLES
