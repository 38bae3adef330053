import json
import tracemalloc
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.protocol.session import Mode, Outgoing, Pending, Received, Refusal, Session
from ingress.protocol.version import Authorization, Needs
from ingress.protocol.versions import VERSIONS
from schemas.codec import frame_codec
from schemas.ocppj import Call
from schemas.records import TransactionIdRequest

NOW = 1_701_944_130_486_000_000  # 2023-12-07T10:15:30.486Z
START = {
    "connectorId": 1,
    "idTag": "04A2B3C4",
    "meterStart": 1000,
    "timestamp": "2023-12-07T10:15:30Z",
}
REQUESTS: dict[str, dict[str, object]] = {
    "Authorize": {"idTag": "04A2B3C4"},
    "BootNotification": {"chargePointVendor": "Vendor", "chargePointModel": "Model"},
    "DataTransfer": {"vendorId": "com.example", "data": "x"},
    "DiagnosticsStatusNotification": {"status": "Uploading"},
    "FirmwareStatusNotification": {"status": "Downloaded"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 7},
    "MeterValues": {
        "connectorId": 1,
        "meterValue": [
            {"timestamp": "2023-12-07T10:15:30Z", "sampledValue": [{"value": "1200", "unit": "Wh"}]}
        ],
    },
    "SecurityEventNotification": {
        "type": "StartupOfTheDevice",
        "timestamp": "2023-12-07T10:15:30Z",
    },
    "SignCertificate": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
    "SignedFirmwareStatusNotification": {"status": "Installed", "requestId": 7},
    "StartTransaction": START,
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "StopTransaction": {
        "transactionId": 5,
        "idTag": "04A2B3C4",
        "meterStop": 25000,
        "timestamp": "2023-12-07T11:45:30Z",
    },
}


def session(mode: Mode = "lenient") -> Session:
    return Session(
        client_id="CP1",
        connection_id="c-1",
        version=VERSIONS["ocpp1.6"],
        mode=mode,
        heartbeat_interval_s=300,
    )


def call(action: str, payload: object, message_id: str = "m-1") -> bytes:
    return json.dumps([2, message_id, action, payload]).encode()


def pending(received: Received) -> Pending:
    assert isinstance(received.todo, Pending)
    return received.todo


def refusal(received: Received) -> Refusal:
    assert isinstance(received.todo, Refusal)
    return received.todo


def met(s: Session, received: Received) -> Outgoing:
    return s.answer(
        pending(received), NOW, authorization=Authorization("Accepted"), transaction_id=42
    )


def test_every_action_of_a_charge_point_has_an_example_here() -> None:
    assert set(VERSIONS["ocpp1.6"].from_charge_point) == set(REQUESTS)


@pytest.mark.parametrize("action", REQUESTS)
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_every_action_gets_an_answer_that_its_schema_allows(action: str, mode: Mode) -> None:
    s = session(mode)
    received = s.receive(call(action, REQUESTS[action]), NOW)
    assert received.frame.violation is None
    outgoing = met(s, received)
    number, message_id, payload = orjson.loads(outgoing.frame.raw)
    assert (number, message_id) == (3, "m-1")
    assert VERSIONS["ocpp1.6"].from_charge_point[action].response.check(payload) is None
    assert (outgoing.frame.kind, outgoing.frame.action) == ("CALLRESULT", action)
    assert outgoing.frame.direction == "outbound"


def test_boot_notification_tells_time_and_interval() -> None:
    s = session()
    outgoing = met(s, s.receive(call("BootNotification", REQUESTS["BootNotification"]), NOW - 1))
    assert outgoing.frame.raw == (
        b'[3,"m-1",{"status":"Accepted","currentTime":"2023-12-07T10:15:30.486Z","interval":300}]'
    )


def test_inbound_frame_keeps_the_bytes_of_the_wire() -> None:
    raw = b' [2 , "m-1",\t"Heartbeat",{"x":"\\u00e9", "y":1.50 } ]\n'
    frame = session().receive(raw, NOW).frame
    assert frame.raw == raw
    assert (frame.client_id, frame.connection_id, frame.protocol) == ("CP1", "c-1", "ocpp1.6")
    assert (frame.direction, frame.kind, frame.message_id) == ("inbound", "CALL", "m-1")


def test_start_transaction_needs_an_id_and_an_authorization() -> None:
    s = session()
    received = s.receive(call("StartTransaction", START), NOW)
    assert pending(received).needs == Needs(
        id_tag="04A2B3C4",
        transaction=TransactionIdRequest(
            client_id="CP1",
            connector_id=1,
            id_tag="04A2B3C4",
            meter_start=1000,
            timestamp="2023-12-07T10:15:30Z",
        ),
    )
    outgoing = s.answer(
        pending(received), NOW, authorization=Authorization("Blocked"), transaction_id=42
    )
    assert orjson.loads(outgoing.frame.raw)[2] == {
        "transactionId": 42,
        "idTagInfo": {"status": "Blocked"},
    }


def test_stop_without_id_tag_is_answered_without_id_tag_info() -> None:
    s = session()
    payload = {k: v for k, v in REQUESTS["StopTransaction"].items() if k != "idTag"}
    received = s.receive(call("StopTransaction", payload), NOW)
    assert pending(received).needs == Needs()
    assert s.answer(pending(received), NOW).frame.raw == b'[3,"m-1",{}]'


def test_a_call_sent_again_under_its_id_is_answered_again() -> None:
    s = session()
    first = met(s, s.receive(call("StartTransaction", START), NOW))
    again = met(s, s.receive(call("StartTransaction", START), NOW))
    assert first.frame.raw == again.frame.raw


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        # OCPP-J 1.6 §4.2.3, in the spelling of that version.
        ("NoSuchAction", {}, "NotImplemented"),
        ("RemoteStartTransaction", {"idTag": "A"}, "NotSupported"),
        ("BootNotification", {"chargePointVendor": "V"}, "ProtocolError"),
        ("Authorize", {"idTag": 12}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("Authorize", {"idTag": "A", "extra": 1}, "FormationViolation"),
        ("FirmwareStatusNotification", {"status": "Great"}, "PropertyConstraintViolation"),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, "OccurenceConstraintViolation"),
        ("StartTransaction", {**START, "timestamp": "noon"}, "PropertyConstraintViolation"),
    ],
)
def test_strict_refuses_with_the_code_for_the_violation(
    action: str, payload: dict[str, object], code: str
) -> None:
    s = session("strict")
    received = s.receive(call(action, payload), NOW)
    assert received.frame.kind == "CALL"
    assert str(received.frame.violation).startswith(f"{code}: ")
    outgoing = s.answer(refusal(received), NOW)
    number, message_id, answered, description, details = orjson.loads(outgoing.frame.raw)
    assert (number, message_id, answered, details) == (4, "m-1", code, {})
    assert 0 < len(description) <= 255
    assert (outgoing.frame.kind, outgoing.frame.action) == ("CALLERROR", action)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", {}),
        ("Heartbeat", {"extra": 1}),
        ("StatusNotification", {"connectorId": "1", "status": "Sleeping"}),
        ("StartTransaction", {**START, "connectorId": "1", "meterStart": 1000.0}),
        ("StopTransaction", {"transactionId": None, "idTag": 5}),
        # A charge point's time without a zone (evcc#10399).
        ("StartTransaction", {**START, "timestamp": "2023-12-07T10:15:30"}),
    ],
)
def test_lenient_flags_a_violation_and_answers_normally(
    action: str, payload: dict[str, object]
) -> None:
    s = session("lenient")
    received = s.receive(call(action, payload), NOW)
    assert received.frame.violation is not None
    assert met(s, received).frame.kind == "CALLRESULT"


@pytest.mark.parametrize("depth", [250, 260, 500, 1000])
def test_a_deeply_nested_payload_is_flagged_and_answered(depth: int) -> None:
    # Between the limits of jsonschema-rs (255 levels) and orjson (1,024).
    raw = b'[2,"m-1","Heartbeat",' + b'{"a":' * depth + b"1" + b"}" * depth + b"]"
    s = session("lenient")
    received = s.receive(raw, NOW)
    assert str(received.frame.violation).startswith("FormationViolation: payload: ")
    assert met(s, received).frame.kind == "CALLRESULT"


def test_a_parsed_payload_is_not_kept_while_its_call_waits_nor_afterwards() -> None:
    s = session()
    items = ",".join(["[]"] * 80_000)
    raw = b'[2,"m","DataTransfer",{"vendorId":"x","data":[%b]}]' % items.encode()
    tracemalloc.start()
    try:
        received = s.receive(raw, 1)
        waiting, parsed = tracemalloc.get_traced_memory()
        met(s, received)
        afterwards, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parsed > 5_000_000
    assert waiting < 100_000
    assert afterwards < 100_000


def test_a_payload_with_thousands_of_errors_is_refused_at_the_first() -> None:
    payload = {"connectorId": 1, "meterValue": [{"timestamp": "x"}] * 7000}
    received = session("strict").receive(call("MeterValues", payload), NOW)
    assert str(received.frame.violation).count("meterValue.") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"idTag": None},
        {"connectorId": "one"},
        {"connectorId": True},
        {"meterStart": 1.5},
        {"meterStart": 2**63},
        {"meterStart": 1e300},
        {"meterStart": "9" * 5000},
        {"timestamp": 0},
    ],
)
def test_lenient_refuses_a_start_without_what_its_id_depends_on(change: dict[str, object]) -> None:
    received = session().receive(call("StartTransaction", {**START, **change}), NOW)
    assert refusal(received).error.code.endswith(("Violation", "Error"))
    assert received.frame.violation is not None


@pytest.mark.parametrize(
    ("raw", "message_id"),
    [
        (b'[2,"m-1","Heartbeat"]', "m-1"),
        (b'[2,"m-1","Heartbeat",{},{}]', "m-1"),
        (b'[2,"m-1","Heartbeat",[]]', "m-1"),
        (b'[2,"m-1",7,{}]', "m-1"),
        # No JSON further on, but the head tells that it is a CALL, and which.
        (b'[2,"m-1","MeterValues",{"connectorId":1,"meterValue":NaN}]', "m-1"),
        (b'[2,"m-1","Heartbeat",{"a":-Infinity}]', "m-1"),
        (b'[2,"m-1","Heartbeat",{"a":1e400}]', "m-1"),
        (b'[2,"m-1","Heartbeat",{"a":' + b"9" * 400 + b"}]", "m-1"),
        (b'[2,"m-1","DataTransfer",{"vendorId":"\xff"}]', "m-1"),
        (b'[2,"m-1","DataTransfer",{"vendorId":"\\ud800"}]', "m-1"),
        (b'[2,"m-1","DataTransfer",{"vendorId":"cut of', "m-1"),
        (b'\xef\xbb\xbf [ 2\t,\r\n"m\\u002d1" ,"Heartbeat",{}]', "m-1"),
        (b'[2,"m-1","Heartbeat",' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"]", "m-1"),
    ],
)
def test_a_call_of_the_wrong_form_gets_formation_violation(raw: bytes, message_id: str) -> None:
    s = session()
    received = s.receive(raw, NOW)
    assert (received.frame.kind, received.frame.raw) == ("INVALID", raw)
    assert str(received.frame.violation).startswith("FormationViolation: ")
    answer = orjson.loads(s.answer(refusal(received), NOW).frame.raw)
    assert answer[:3] == [4, message_id, "FormationViolation"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"hello",
        b"{}",
        b"[]",
        b'"[2]"',
        b"[" * 5000,
        b'[2,"\xff","Heartbeat",{}]',
        b'[2,"\\ud800","Heartbeat",{}]',
        b'[2,"' + b"x" * 37 + b'","Heartbeat",{"a":NaN}]',
        b'[3,"m-1",{"a":NaN}]',
        b'[2,1,"Heartbeat",{}]',
        b'[2,"' + b"x" * 37 + b'","Heartbeat",{}]',
        b'[3,"m-1"]',  # a broken answer is not answered
        b'[4,"m-1","Code"]',
        b'[9,"m-1","Heartbeat",{}]',  # OCPP-J 1.6 §4.1.3: unknown types are ignored
        b'[true,"m-1","Heartbeat",{}]',
        b'[6,"m-1","NotifyPeriodicEventStream",{}]',
    ],
)
def test_what_can_not_be_answered_is_on_the_log_only(raw: bytes) -> None:
    received = session().receive(raw, NOW)
    assert received.todo is None
    assert (received.frame.kind, received.frame.raw) == ("INVALID", raw)
    assert received.frame.violation


def test_times_strictly_increase_over_both_directions_even_if_the_clock_goes_back() -> None:
    s = session()
    times = []
    for now in (NOW, NOW, NOW - 5_000_000_000, NOW + 1):
        received = s.receive(call("Heartbeat", {}), now)
        times += [received.frame.received_at_ns, met(s, received).frame.received_at_ns]
    assert all(earlier < later for earlier, later in pairwise(times))


def test_a_result_gets_the_action_of_the_call_that_it_answers() -> None:
    s = session()
    out = s.call(Call("out-1", "Reset", {"type": "Soft"}), NOW)
    assert out.frame.raw == b'[2,"out-1","Reset",{"type":"Soft"}]'
    assert (out.frame.kind, out.frame.direction) == ("CALL", "outbound")
    received = s.receive(b'[3,"out-1",{"status":"Accepted"}]', NOW)
    assert received.todo is None
    assert (received.frame.action, received.frame.violation) == ("Reset", None)
    again = s.receive(b'[3,"out-1",{"status":"Accepted"}]', NOW)
    assert (again.frame.action, again.frame.violation) == (
        None,
        "FormationViolation: answers no open CALL",
    )


def test_a_result_that_breaks_its_schema_is_flagged() -> None:
    s = session()
    s.call(Call("out-1", "Reset", {"type": "Soft"}), NOW)
    received = s.receive(b'[3,"out-1",{"status":"Perhaps"}]', NOW)
    assert str(received.frame.violation).startswith("PropertyConstraintViolation: status: ")


def test_an_error_gets_the_action_of_the_call_that_it_answers() -> None:
    s = session()
    s.call(Call("out-1", "Reset", {"type": "Soft"}), NOW)
    received = s.receive(b'[4,"out-1","NotSupported","",{}]', NOW)
    assert (received.frame.kind, received.frame.action) == ("CALLERROR", "Reset")
    assert received.frame.violation is None


def test_unavailable_names_the_message_for_normal_and_refused_calls() -> None:
    s = session("strict")
    for raw in (call("Heartbeat", {}), call("NoSuchAction", {})):
        todo = s.receive(raw, NOW).todo
        assert isinstance(todo, (Pending, Refusal))
        assert orjson.loads(s.unavailable(todo))[:3] == [4, "m-1", "InternalError"]


def test_a_hostile_value_does_not_fill_log_and_answer() -> None:
    s = session("strict")
    received = s.receive(call("Authorize", {"idTag": "x" * 100_000}), NOW)
    assert len(str(received.frame.violation)) < 600
    assert len(s.answer(refusal(received), NOW).frame.raw) < 400


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = sorted({field for payload in REQUESTS.values() for field in payload})
CALLS = st.tuples(
    st.just(2),
    st.text(max_size=40),
    st.sampled_from(sorted(REQUESTS)) | st.text(max_size=10),
    st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON,
)


@settings(max_examples=300, deadline=None)
@given(
    raw=st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | CALLS.map(lambda value: json.dumps(value).encode()),
    mode=st.sampled_from(["strict", "lenient"]),
)
def test_any_bytes_become_one_frame_and_at_most_one_answer(raw: bytes, mode: Mode) -> None:
    s = session(mode)
    received = s.receive(raw, NOW)
    codec = frame_codec()
    assert codec.decode(codec.encode(received.frame)) == received.frame
    assert received.frame.raw == raw
    if isinstance(received.todo, Refusal):
        answer = orjson.loads(s.answer(received.todo, NOW).frame.raw)
        assert answer[:2] == [4, orjson.loads(raw)[1]]
        assert received.frame.violation is not None
    elif isinstance(received.todo, Pending):
        payload = orjson.loads(met(s, received).frame.raw)[2]
        assert received.todo.row.response.check(payload) is None
