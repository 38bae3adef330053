"""egress.routing: records → MQTT topic and payload, to the letter."""

import base64

import orjson
import pytest

from egress.errors import RoutingError
from egress.routing import Publication, Router, route_event, route_frame, traceparent_of
from egress.selection import selection
from schemas.events import BusinessEvent, StatusChanged
from schemas.frames import OcppFrame

AT_NS = 1_701_944_130_123_456_789


def frame(**changes: object) -> OcppFrame:
    fields: dict[str, object] = {
        "client_id": "CP1",
        "received_at_ns": AT_NS,
        "direction": "inbound",
        "protocol": "ocpp1.6",
        "kind": "CALL",
        "message_id": "17",
        "action": "Heartbeat",
        "raw": b'[2,"17","Heartbeat",{}]',
        "connection_id": "c1",
    }
    return OcppFrame(**(fields | changes))  # type: ignore[arg-type] # fields vary by test


def test_call_goes_to_messages_in_contract_order() -> None:
    publication = route_frame(frame())
    assert publication.topic == "ocpp/messages/CP1/Heartbeat"
    assert publication.payload == (
        b'{"timestamp":"2023-12-07T10:15:30Z","clientId":"CP1","messageType":"Heartbeat",'
        b'"requestId":"17","direction":"inbound","payload":{}}'
    )
    assert publication.properties == (("eventId", f"c1:{AT_NS}"), ("protocol", "ocpp1.6"))


def test_result_goes_to_responses_with_the_suffix() -> None:
    publication = route_frame(
        frame(kind="CALLRESULT", direction="outbound", raw=b'[3,"17",{"currentTime":"x"}]')
    )
    assert publication.topic == "ocpp/responses/CP1/Heartbeat"
    message = orjson.loads(publication.payload)
    assert message["messageType"] == "HeartbeatResponse"
    assert message["direction"] == "outbound"
    assert message["payload"] == {"currentTime": "x"}


def test_result_without_a_known_call_is_unknown() -> None:
    publication = route_frame(frame(kind="CALLRESULT", action=None, raw=b'[3,"17",{}]'))
    assert publication.topic == "ocpp/responses/CP1/Unknown"
    assert orjson.loads(publication.payload)["messageType"] == "UnknownResponse"


@pytest.mark.parametrize(("kind", "number"), [("CALLERROR", 4), ("CALLRESULTERROR", 5)])
def test_error_has_its_three_fields_instead_of_a_payload(kind: str, number: int) -> None:
    raw = f'[{number},"17","FormationViolation","no \\"id\\"",{{"n":1.10}}]'.encode()
    publication = route_frame(frame(kind=kind, raw=raw))
    assert publication.topic == "ocpp/responses/CP1/Heartbeat"
    assert publication.payload == (
        b'{"timestamp":"2023-12-07T10:15:30Z","clientId":"CP1","messageType":"HeartbeatResponse",'
        b'"requestId":"17","direction":"inbound","errorCode":"FormationViolation",'
        b'"errorDescription":"no \\"id\\"","errorDetails":{"n":1.10}}'
    )


def test_send_of_ocpp_21_is_a_request() -> None:
    raw = b'[6,"17","NotifyPeriodicEventStream",{"id":1}]'
    publication = route_frame(frame(kind="SEND", action="NotifyPeriodicEventStream", raw=raw))
    assert publication.topic == "ocpp/messages/CP1/NotifyPeriodicEventStream"
    assert orjson.loads(publication.payload)["payload"] == {"id": 1}


@pytest.mark.parametrize(
    "payload",
    [
        b'{"big":123456789012345678901234567890}',
        b'{"precise":0.10000000000000000000001,"e":1E400,"z":1.50}',
        b'{ "spaced" : [ 1 , 2 ] }',
        '{"text":"Säule \\u00e9 \\ud83d\\ude00"}'.encode(),
    ],
)
def test_payload_reaches_mqtt_byte_for_byte(payload: bytes) -> None:
    raw = b' [ 2 , "17" , "DataTransfer" , ' + payload + b" ] "
    publication = route_frame(frame(action="DataTransfer", raw=raw))
    assert publication.payload.endswith(b'"payload":' + payload + b"}")


def test_identity_and_action_are_escaped() -> None:
    publication = route_frame(frame(client_id="a/b+#%\x01", action="X/Y", raw=b'[2,"1","X/Y",{}]'))
    assert publication.topic == "ocpp/messages/a%2Fb%2B%23%25%01/X%2FY"
    assert orjson.loads(publication.payload)["clientId"] == "a/b+#%\x01"


def test_invalid_text_is_kept_as_text() -> None:
    raw = '[2,"1",\x00 "Zähler"'.encode()
    publication = route_frame(
        frame(kind="INVALID", message_id=None, action=None, raw=raw, violation="not JSON:\nend")
    )
    assert publication.topic == "ocpp/invalid/CP1"
    message = orjson.loads(publication.payload)
    assert list(message) == [
        "timestamp", "clientId", "requestId", "direction", "violation", "encoding", "raw",
    ]  # fmt: skip
    assert (message["encoding"], message["raw"].encode()) == ("utf-8", raw)
    assert message["violation"] == "not JSON:\nend"
    assert ("violation", "not JSON: end") in publication.properties


def test_invalid_bytes_are_kept_in_base64() -> None:
    raw = b'[2,"\xff\xfe"'
    message = orjson.loads(route_frame(frame(kind="INVALID", raw=raw, violation="x")).payload)
    assert message["encoding"] == "base64"
    assert base64.b64decode(message["raw"]) == raw


def test_violation_of_a_readable_frame_is_a_property() -> None:
    publication = route_frame(frame(violation="v" * 2000))
    assert dict(publication.properties)["violation"] == "v" * 1000


@pytest.mark.parametrize("hostile", ["\0", "\x1b", "\x9f", "\ufdd0", "\ufffe", "\U0010ffff"])
def test_what_makes_brokers_close_the_connection_is_in_no_property(hostile: str) -> None:
    # MQTT 5 §1.5.4: control characters and Unicode's non-characters.
    publication = route_frame(frame(violation=f"{hostile}é 電 😀{hostile}"))
    assert dict(publication.properties)["violation"] == " é 電 😀 "


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"no json", "no JSON array"),
        (b'{"a":1}', "no JSON array"),
        (b'[2,"1","A",{"x":"\xff"}]', "no JSON array"),
        (b"[" * 100_000, "no JSON array"),
        (b'[2,"17",{}]', "3 elements instead of 4"),
    ],
)
def test_frame_that_belies_its_kind_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(RoutingError, match=reason):
        route_frame(frame(raw=raw))


def test_topic_too_long_for_mqtt_is_refused() -> None:
    with pytest.raises(RoutingError, match="longer than 65535 bytes"):
        Router().frame(frame(action="A" * 65_530))


def test_event_has_its_topic_and_properties() -> None:
    event = BusinessEvent(
        timestamp=1_701_944_125_000_000,
        client_id="charge-point-001",
        event_type="status_changed",
        event_id="status_changed_1701940525123456789",
        payload=StatusChanged(
            connector_id=1,
            status="Charging",
            previous_status="Preparing",
            transaction_id=123456,
            error_code="NoError",
        ),
    )
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert route_event(event, trace) == Publication(
        "csms/connectors/charge-point-001/status_changed",
        b'{"timestamp":"2023-12-07T10:15:25Z","clientId":"charge-point-001",'
        b'"eventType":"status_changed","eventId":"status_changed_1701940525123456789",'
        b'"payload":{"connectorId":1,"status":"Charging","previousStatus":"Preparing",'
        b'"transactionId":123456,"errorCode":"NoError"}}',
        (("eventId", "status_changed_1701940525123456789"), ("traceparent", trace)),
        strand="business/charge-point-001",
        stream="business",
        type="status_changed",
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), None),
        ((("ce_id", b"1"),), None),
        (
            (("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),),
            f"00-{'a' * 32}-{'b' * 16}-01",
        ),
        ((("traceparent", b"\xff\x00"),), None),
        ((("traceparent", None),), None),
    ],
)
def test_traceparent_of_a_record(
    headers: tuple[tuple[str, bytes], ...], expected: str | None
) -> None:
    assert traceparent_of(headers) == expected


def status(**changes: object) -> BusinessEvent:
    fields: dict[str, object] = {
        "connector_id": 2,
        "status": "Charging",
        "previous_status": "Preparing",
        "transaction_id": None,
        "error_code": "NoError",
    }
    return BusinessEvent(
        timestamp=1_701_944_125_000_000,
        client_id="CP/1",
        event_type="status_changed",
        event_id="status_changed_1",
        payload=StatusChanged(**(fields | changes)),  # type: ignore[arg-type] # fields vary by test
    )


def test_prefix_comes_before_every_topic() -> None:
    router = Router(prefix="site/a/", retain_status=True)
    topics = [p.topic for p in (*router.frame(frame()), *router.event(status()))]
    assert topics == [
        "site/a/ocpp/messages/CP1/Heartbeat",
        "site/a/csms/connectors/CP%2F1/status_changed",
        "site/a/csms/connectors/CP%2F1/2/status",
    ]


def test_prefix_counts_towards_the_length() -> None:
    assert Router().frame(frame(action="A" * 65_000))
    with pytest.raises(RoutingError, match="longer than 65535 bytes"):
        Router(prefix="p" * 600 + "/").frame(frame(action="A" * 65_000))


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({}, "csms/connectors/CP%2F1/2/status"),
        ({"connector_id": 0}, "csms/connectors/CP%2F1/0/status"),
        ({"evse_id": 3}, "csms/connectors/CP%2F1/3/2/status"),
    ],
)
def test_last_status_of_a_connector_is_kept_on_its_own_topic(
    changes: dict[str, object], topic: str
) -> None:
    usual, kept = Router(retain_status=True).event(status(**changes))
    assert (usual.topic, usual.retain) == ("csms/connectors/CP%2F1/status_changed", False)
    assert (kept.topic, kept.retain) == (topic, True)
    assert (kept.payload, kept.properties) == (usual.payload, usual.properties)


def test_status_without_a_connector_is_kept_nowhere() -> None:
    assert len(Router(retain_status=True).event(status(connector_id=None))) == 1


def test_status_is_not_kept_unless_asked_for() -> None:
    assert len(Router().event(status())) == 1


def test_filters_look_at_the_topic_without_the_prefix() -> None:
    router = Router(
        prefix="site/",
        selects=selection(["csms/connectors/+/+/status", "ocpp/#"], ["ocpp/+/+/Heartbeat"]),
        retain_status=True,
    )
    assert router.frame(frame()) == ()
    assert len(router.frame(frame(action="BootNotification"))) == 1
    assert [p.topic for p in router.event(status())] == ["site/csms/connectors/CP%2F1/2/status"]


def test_frame_that_is_filtered_out_need_not_be_readable() -> None:
    router = Router(selects=selection(["csms/#"], ()))
    assert router.frame(frame(raw=b"no json")) == ()
