"""The version tables against the JSON schemas that the `ocpp` package ships."""

import json
from typing import Any

import orjson
import pytest
from ocpp.messages import Call as PackageCall
from ocpp.messages import CallResult as PackageResult
from ocpp.messages import _validate_payload
from schema_examples import PACKAGES, actions, example, request_schema

from ingress.protocol import ocpp2, ocpp16
from ingress.protocol.session import Mode, Objection, Pending, Received, Refusal, Session
from ingress.protocol.validation import load_schema
from ingress.protocol.version import Authorization, ErrorCodes
from ingress.protocol.versions import VERSIONS, choose
from schemas.ocppj import Call

NOW = 1_701_944_130_486_000_000  # 2023-12-07T10:15:30.486Z
_CODES_16 = {
    "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
    "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
    "TypeConstraintViolation", "GenericError",
}  # fmt: skip
_CODES_2 = {
    "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported",
    "NotImplemented", "NotSupported", "OccurrenceConstraintViolation",
    "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError", "SecurityError",
    "TypeConstraintViolation",
}  # fmt: skip
CODES = {
    "ocpp1.6": _CODES_16,  # OCPP-J 1.6 §4.2.3
    "ocpp2.0.1": _CODES_2,  # OCPP 2.0.1 Part 4 §4.3
    "ocpp2.1": _CODES_2 - {"MessageTypeNotSupported"},  # Part 4 §4.3 and its errata of 2026-06
}
EVERY_CALL = [
    (protocol, action) for protocol, row in VERSIONS.items() for action in row.from_charge_point
]
TOKEN = {"idToken": "04A2B3C4", "type": "ISO14443"}
EVENT = {
    "eventType": "Started",
    "timestamp": "2023-12-07T10:15:30Z",
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t-1"},
}


def session(protocol: str, mode: Mode = "strict") -> Session:
    return Session(
        client_id="CP1",
        connection_id="c-1",
        version=VERSIONS[protocol],
        mode=mode,
        heartbeat_interval_s=300,
    )


def call(action: str, payload: object, number: int = 2) -> bytes:
    return json.dumps([number, "m-1", action, payload]).encode()


def answer(s: Session, received: Received) -> list[Any]:
    assert isinstance(received.todo, (Pending, Refusal, Objection))
    outgoing = s.answer(
        received.todo, NOW, authorization=Authorization("Accepted"), transaction_id=42
    )
    array: list[Any] = orjson.loads(outgoing.frame.raw)
    return array


def keywords(schema: object) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for name in ("properties", "definitions"):
        for inner in schema.get(name, {}).values():
            found |= keywords(inner)
    return found | keywords(schema.get("items"))


def test_versions_are_offered_newest_first() -> None:
    assert list(VERSIONS) == ["ocpp2.1", "ocpp2.0.1", "ocpp1.6"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp2.1", "ocpp2.0.1", "ocpp1.6"], "ocpp2.1"),
        (["ocpp1.6", "ocpp2.0.1"], "ocpp1.6"),  # the charge point's preference counts
        (["ocpp2.0", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp2.0", "OCPP2.1", "ocpp1.5"], None),
        ([], None),
    ],
)
def test_the_first_version_is_taken_that_both_speak(offered: list[str], chosen: str | None) -> None:
    assert choose(offered) == chosen


@pytest.mark.parametrize("protocol", VERSIONS)
def test_every_action_that_has_schemas_has_a_row(protocol: str) -> None:
    row = VERSIONS[protocol]
    assert {*row.from_charge_point, *row.from_central_system, *row.sends} == actions(protocol)
    # Nobody but the specification says who sends what; only these two go both ways.
    both = row.from_charge_point.keys() & row.from_central_system.keys()
    assert both == {"DataTransfer"}


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("protocol", "action"), EVERY_CALL)
def test_every_call_gets_an_answer_that_its_schema_allows(
    protocol: str, action: str, mode: Mode, *, full: bool
) -> None:
    payload = example(request_schema(protocol, action), full=full)
    s = session(protocol, mode)
    received = s.receive(call(action, payload), NOW)
    assert received.frame.violation is None
    number, message_id, result = answer(s, received)
    assert (number, message_id) == (3, "m-1")
    assert VERSIONS[protocol].from_charge_point[action].response.check(result) is None
    # The ocpp package, with another validator, agrees on both.
    version = protocol.removeprefix("ocpp")
    _validate_payload(PackageCall("m-1", action, payload), version)
    _validate_payload(PackageResult("m-1", result, action), version)


@pytest.mark.parametrize("protocol", VERSIONS)
def test_every_command_has_the_schemas_of_both_its_messages(protocol: str) -> None:
    for action, row in VERSIONS[protocol].from_central_system.items():
        response = load_schema(PACKAGES[protocol], f"{action}Response")
        for full in (False, True):
            request = example(request_schema(protocol, action), full=full)
            assert row.request.check(request) is None
            assert row.response.check(example(response, full=full)) is None
        assert row.request.check({"no such field": 1}) is not None


@pytest.mark.parametrize("protocol", VERSIONS)
def test_every_keyword_of_the_schemas_has_a_code_of_the_version(protocol: str) -> None:
    table = ocpp16.KEYWORD_CODES if protocol == "ocpp1.6" else ocpp2.KEYWORD_CODES
    without_meaning = {
        "$id", "$ref", "$schema", "comment", "default", "definitions", "description", "javaType",
        "properties", "title", "items",
        "additionalItems",  # says nothing beside an `items` that holds for all elements
    }  # fmt: skip
    used: set[str] = set()
    for action in actions(protocol):
        used |= keywords(request_schema(protocol, action))
    assert used - without_meaning <= table.keys()
    assert set(table.values()) <= CODES[protocol]


@pytest.mark.parametrize("protocol", VERSIONS)
def test_every_code_is_one_of_the_version(protocol: str) -> None:
    codes = VERSIONS[protocol].codes
    values = {getattr(codes, field) for field in ErrorCodes.__struct_fields__}
    assert values - {None} <= CODES[protocol]


@pytest.mark.parametrize(
    ("raw", "answers"),
    [
        # (1.6, 2.0.1, 2.1): id and code, or None where there is no answer
        (b"no JSON", (None, ("-1", "RpcFrameworkError"), ("-1", "RpcFrameworkError"))),
        (b"{}", (None, ("-1", "RpcFrameworkError"), ("-1", "RpcFrameworkError"))),
        (b'[2,7,"Heartbeat",{}]', (None, ("-1", "RpcFrameworkError"), ("-1", "RpcFrameworkError"))),
        (b'[2,"m-1","Heartbeat"]', (("m-1", "FormationViolation"), ("m-1", "FormatViolation"),
                                    ("m-1", "FormatViolation"))),
        (b'[9,"m-1","Heartbeat",{}]', (None, ("m-1", "MessageTypeNotSupported"), None)),
        (b'[6,"m-1","Heartbeat",{}]', (None, ("m-1", "MessageTypeNotSupported"), None)),
        (b'[2,"m-1","Nonsense",{}]', (("m-1", "NotImplemented"),) * 3),
        (b'[2,"m-1","Reset",{"type":"Soft"}]', (("m-1", "NotSupported"),) * 3),
        (b'[2,"m-1","Authorize",{}]', (("m-1", "ProtocolError"),
         ("m-1", "OccurrenceConstraintViolation"), ("m-1", "OccurrenceConstraintViolation"))),
        (b'[2,"m-1","MeterValues",{"connectorId":1,"evseId":1,"meterValue":[]}]',
         # 1.6 has no evseId, 2.x no connectorId; jsonschema-rs looks at unknown fields first.
         (("m-1", "FormationViolation"), ("m-1", "FormatViolation"), ("m-1", "FormatViolation"))),
        (b'[2,"m-1","Heartbeat",{"x":1}]', (("m-1", "FormationViolation"),
         ("m-1", "FormatViolation"), ("m-1", "FormatViolation"))),
        (b'[2,"m-1","DataTransfer",{"vendorId":1}]', (("m-1", "TypeConstraintViolation"),) * 3),
        (b'[3,"m-1"]', (None,) * 3),
        (b'[4,"m-1","X"]', (None,) * 3),
        (b'[5,"m-1","X","",{}]', (None, ("m-1", "MessageTypeNotSupported"), None)),
    ],
)  # fmt: skip
def test_an_error_is_answered_as_the_version_says(
    raw: bytes, answers: tuple[tuple[str, str] | None, ...]
) -> None:
    for protocol, expected in zip(("ocpp1.6", "ocpp2.0.1", "ocpp2.1"), answers, strict=True):
        s = session(protocol)
        received = s.receive(raw, NOW)
        assert received.frame.raw == raw
        assert received.frame.violation
        if expected is None:
            assert received.todo is None, protocol
        else:
            assert answer(s, received)[:3] == [4, *expected], protocol


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
def test_the_token_of_an_event_is_authorized_where_one_was_sent(protocol: str) -> None:
    s = session(protocol, "lenient")

    def asked(event: dict[str, object]) -> tuple[str | None, Any]:
        received = s.receive(call("TransactionEvent", {**EVENT, **event}), NOW)
        assert isinstance(received.todo, Pending)
        needs = received.todo.needs
        known = needs.authorization if needs.id_tag is None else Authorization("Blocked")
        outgoing = s.answer(received.todo, NOW, authorization=known)
        return needs.id_tag, orjson.loads(outgoing.frame.raw)[2]

    assert asked({}) == (None, {})
    assert asked({"idToken": TOKEN}) == ("04A2B3C4", {"idTokenInfo": {"status": "Blocked"}})
    assert asked({"idToken": {"idToken": 5, "type": "Local"}}) == (None, {})
    # C02: started by a button.
    button = {"idToken": "", "type": "NoAuthorization"}
    assert asked({"idToken": button}) == (None, {"idTokenInfo": {"status": "Accepted"}})


def test_an_answer_that_repeats_the_request_needs_a_valid_one_in_lenient_mode_too() -> None:
    s = session("ocpp2.1", "lenient")
    valid = s.receive(call("VatNumberValidation", {"vatNumber": "DE1", "evseId": 2}), NOW)
    assert answer(s, valid)[2] == {"status": "Rejected", "vatNumber": "DE1", "evseId": 2}
    wrong = s.receive(call("VatNumberValidation", {"vatNumber": "DE" * 11}), NOW)
    assert answer(s, wrong)[:3] == [4, "m-1", "PropertyConstraintViolation"]


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_a_send_is_never_answered(mode: Mode) -> None:
    payload = example(request_schema("ocpp2.1", "NotifyPeriodicEventStream"), full=True)
    s = session("ocpp2.1", mode)
    cases = [
        ("NotifyPeriodicEventStream", payload, None),
        ("NotifyPeriodicEventStream", {}, "OccurrenceConstraintViolation"),
        ("Heartbeat", {}, "NotSupported"),
        ("Nonsense", {}, "NotImplemented"),
    ]
    for action, content, code in cases:
        received = s.receive(call(action, content, number=6), NOW)
        assert received.todo is None
        assert (received.frame.kind, received.frame.action) == ("SEND", action)
        found = received.frame.violation
        assert (found and found.partition(":")[0]) == code
    # As a CALL it does not exist (Part 4 §4.2.4: it is sent unconfirmed).
    as_call = s.receive(call("NotifyPeriodicEventStream", payload), NOW)
    assert answer(s, as_call)[:3] == [4, "m-1", "NotImplemented"]


@pytest.mark.parametrize(
    ("protocol", "mode", "objects"),
    [
        ("ocpp2.1", "strict", True),
        ("ocpp2.1", "lenient", False),
        ("ocpp2.0.1", "strict", False),
        ("ocpp1.6", "strict", False),
    ],
)
def test_a_broken_result_gets_a_callresulterror_in_21_only(
    protocol: str, mode: Mode, *, objects: bool
) -> None:
    s = session(protocol, mode)
    s.call(Call("out-1", "Reset", {}), NOW)
    received = s.receive(b'[3,"out-1",{"status":"Perhaps"}]', NOW)
    code = "PropertyConstraintViolation"
    assert str(received.frame.violation).startswith(f"{code}: status: ")
    assert (received.todo is not None) == objects
    if received.todo is not None:
        assert answer(s, received)[:3] == [5, "out-1", code]
    # One that answers nothing gets nothing: two peers could go on for ever.
    assert s.receive(b'[3,"out-1",{"status":"Perhaps"}]', NOW).todo is None


def test_a_callresulterror_gets_the_action_of_the_call_whose_answer_it_objects_to() -> None:
    s = session("ocpp2.1")
    answer(s, s.receive(call("Heartbeat", {}), NOW))
    received = s.receive(b'[5,"m-1","FormatViolation","no",{}]', NOW)
    frame = received.frame
    assert (frame.kind, frame.action, frame.violation) == ("CALLRESULTERROR", "Heartbeat", None)
    assert received.todo is None
    stray = s.receive(b'[5,"m-9","FormatViolation","no",{}]', NOW).frame
    assert (stray.action, stray.violation) == (None, "FormatViolation: answers no CALLRESULT")


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize(
    "raw", [b'[3,"m-1",{"a":NaN}]', b'\xef\xbb\xbf[4,"m-1"', b' [ 6 ,"m-1",.5]']
)
def test_what_begins_as_an_answer_is_not_answered_however_it_goes_on(
    protocol: str, raw: bytes
) -> None:
    received = session(protocol).receive(raw, NOW)
    assert (received.frame.kind, received.todo) == ("INVALID", None)
