"""OCPP-J arrays: what each version accepts, and what a refusal says."""

import re
from typing import Any, get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import MalformedFrameError, UnknownMessageTypeError
from schemas.frames import Protocol
from schemas.ocppj import (
    KIND_OF,
    Call,
    CallError,
    CallResult,
    CallResultError,
    Message,
    Send,
    dump,
    parse,
)

VERSIONS = get_args(Protocol)
_PAYLOADS = st.dictionaries(
    st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(), max_size=4
)
_IDS = st.text(min_size=1, max_size=36)
COMMON = st.one_of(
    st.builds(Call, message_id=_IDS, action=st.text(), payload=_PAYLOADS),
    st.builds(CallResult, message_id=_IDS, payload=_PAYLOADS),
    st.builds(CallError, _IDS, st.text(), st.text(), _PAYLOADS),
)
ONLY_21 = st.one_of(
    st.builds(CallResultError, _IDS, st.text(), st.text(), _PAYLOADS),
    st.builds(Send, message_id=_IDS, action=st.text(), payload=_PAYLOADS),
)


@given(COMMON, st.sampled_from(VERSIONS))
def test_what_is_dumped_is_parsed_in_every_version(message: Message, protocol: str) -> None:
    assert parse(dump(message), protocol) == message


@given(ONLY_21)
def test_send_and_callresulterror_exist_in_ocpp_21_only(message: Message) -> None:
    assert parse(dump(message), "ocpp2.1") == message
    for protocol in ("ocpp1.6", "ocpp2.0.1"):
        with pytest.raises(UnknownMessageTypeError, match=f"does not exist in {protocol}") as error:
            parse(dump(message), protocol)
        assert error.value.message_id == message.message_id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # One of each form of OCPP-J 1.6 §4.2.1 to §4.2.3, with white space as JSON allows it.
        (
            """[2,"19223201","BootNotification",
            {"chargePointVendor":"VendorX","chargePointModel":"SingleSocketCharger"}]""",
            Call(
                "19223201",
                "BootNotification",
                {"chargePointVendor": "VendorX", "chargePointModel": "SingleSocketCharger"},
            ),
        ),
        (
            """[3,"19223201",{"status":"Accepted","currentTime":"2013-02-01T20:53:32.486Z",
            "heartbeatInterval":300}]""",
            CallResult(
                "19223201",
                {
                    "status": "Accepted",
                    "currentTime": "2013-02-01T20:53:32.486Z",
                    "heartbeatInterval": 300,
                },
            ),
        ),
        (
            ' [ 4 , "162376037", "NotSupported", "no displays here", {} ] ',
            CallError("162376037", "NotSupported", "no displays here", {}),
        ),
    ],
)
def test_messages_as_the_specification_shows_them(text: str, message: Message) -> None:
    assert parse(text.encode(), "ocpp1.6") == message


@pytest.mark.parametrize(
    ("raw", "message_id", "reason"),
    [
        (b"", None, "not JSON"),
        (b"[2,", None, "not JSON"),
        (b'[2,"1","Heartbeat",{"a":NaN}]', "1", "not JSON"),
        (b'[2,"\xff","Heartbeat",{}]', None, "not JSON"),
        (b"{}", None, "not a JSON array"),
        (b"[]", None, "not a JSON array"),
        (b"[2]", None, "the message id must be a string of 1 to 36 characters"),
        (b'[2,17,"Heartbeat",{}]', None, "the message id must be a string of 1 to 36 characters"),
        (b'[2,"","Heartbeat",{}]', None, "the message id must be a string of 1 to 36 characters"),
        (
            b'[2,"' + 37 * b"x" + b'","Heartbeat",{}]',
            None,
            'expected [2, "<id>", "<action>", {payload}]',
        ),
        (b'[2,"1","Heartbeat"]', "1", '3 elements; expected [2, "<id>", "<action>", {payload}]'),
        (b'[2,"1","Heartbeat",{},{}]', "1", "5 elements"),
        (b'[3,"1",{},{}]', "1", '4 elements; expected [3, "<id>", {payload}]'),
        (b'[4,"1","InternalError",""]', "1", "4 elements"),
        (b'[2,"1",5,{}]', "1", "an element has the wrong JSON type"),
        (b'[2,"1","Heartbeat",[]]', "1", "an element has the wrong JSON type"),
        (b'[2,"1","Heartbeat",0]', "1", "an element has the wrong JSON type"),
        (b'[4,"1","InternalError","",null]', "1", "an element has the wrong JSON type"),
        (b'[4,"1","InternalError",null,{}]', "1", "an element has the wrong JSON type"),
    ],
)
def test_a_malformed_array_is_refused_with_its_reason_and_its_id(
    raw: bytes, message_id: str | None, reason: str
) -> None:
    with pytest.raises(MalformedFrameError, match=re.escape(reason)) as error:
        parse(raw, "ocpp1.6")
    assert error.value.message_id == message_id
    assert not isinstance(error.value, UnknownMessageTypeError)


@pytest.mark.parametrize("number", [b"0", b"1", b"7", b"true", b"2.0", b'"2"', b"null", b"[[]]"])
@pytest.mark.parametrize("protocol", VERSIONS)
def test_an_unknown_message_type_keeps_the_id(number: bytes, protocol: str) -> None:
    with pytest.raises(UnknownMessageTypeError, match="message type") as error:
        parse(b"[" + number + b',"id-1","Heartbeat",{}]', protocol)
    assert error.value.message_id == "id-1"


def test_a_huge_message_type_is_cut_in_the_reason() -> None:
    with pytest.raises(UnknownMessageTypeError) as error:
        parse(b'["' + 5000 * b"9" + b'","id-1",{}]', "ocpp1.6")
    assert len(str(error.value)) < 120


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=2),
    ).map(orjson.dumps),
    st.sampled_from(VERSIONS),
)
def test_any_input_is_a_message_or_a_malformed_frame(raw: bytes, protocol: str) -> None:
    try:
        message = parse(raw, protocol)
    except MalformedFrameError:
        return
    array: list[Any] = orjson.loads(raw)
    if array[-1] is None:
        array[-1] = {}
    assert list(msgspec.structs.astuple(message)) == array[1:]
    assert type(message) in KIND_OF


@pytest.mark.parametrize(
    ("raw", "protocol", "message"),
    [
        (b'[2,"1","Heartbeat",null]', "ocpp1.6", Call("1", "Heartbeat", {})),
        (b'[3,"1",null]', "ocpp2.0.1", CallResult("1", {})),
        (b'[6,"1","NotifyPeriodicEventStream",null]', "ocpp2.1",
         Send("1", "NotifyPeriodicEventStream", {})),
    ],
)  # fmt: skip
def test_null_is_a_payload_without_fields(raw: bytes, protocol: str, message: Message) -> None:
    assert parse(raw, protocol) == message
