"""The ingress soak's verifier must say so when something is wrong."""

import json
from collections.abc import Callable

import msgspec
import pytest
from ingress_charge_points import Acknowledged, Session
from ingress_verdict import Verdict, decode, verify

from schemas.codec import frame_codec
from schemas.frames import OcppFrame

START = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": "2024-01-01T00:00:00Z"}
STOP = {"transactionId": 7, "idTag": "A", "meterStop": 1500, "timestamp": "2024-01-01T01:00:00Z"}
VALUE = {"timestamp": "2024-01-01T00:30:00Z", "sampledValue": [{"value": "1500"}]}
METER = {"connectorId": 1, "transactionId": 7, "meterValue": [VALUE]}
SESSION = Session("CP", 7, 1000, 1500, (1500,))
EXCHANGES = [
    ("1", "StartTransaction", START, {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}),
    ("2", "MeterValues", METER, {}),
    ("3", "StopTransaction", STOP, {"idTagInfo": {"status": "Accepted"}}),
]


def log() -> list[OcppFrame]:
    frames: list[OcppFrame] = []
    for message_id, action, request, answer in EXCHANGES:
        for kind, raw in (
            ("CALL", [2, message_id, action, request]),
            ("CALLRESULT", [3, message_id, answer]),
        ):
            frames.append(
                OcppFrame(
                    client_id="CP",
                    received_at_ns=1_704_067_200_000_000_000 + len(frames),
                    direction="inbound" if kind == "CALL" else "outbound",
                    protocol="ocpp1.6",
                    kind="CALL" if kind == "CALL" else "CALLRESULT",
                    message_id=message_id,
                    action=action,
                    raw=json.dumps(raw).encode(),
                    connection_id="c-1",
                )
            )
    return frames


def acknowledged() -> list[Acknowledged]:
    frames = log()
    return [
        Acknowledged("CP", call.raw, answer.raw)
        for call, answer in zip(frames[::2], frames[1::2], strict=True)
    ]


def verdict(frames: list[OcppFrame]) -> Verdict:
    return verify(frames, acknowledged(), [SESSION])


def test_what_must_be_there_passes() -> None:
    assert verdict(log()) == Verdict()


@pytest.mark.parametrize("place", range(6))
def test_an_acknowledgement_of_what_is_not_on_the_log_is_found(place: int) -> None:
    frames = log()
    del frames[place]
    assert verdict(frames).false_acknowledgements == 1


def test_a_lost_session_and_a_lost_reading_are_found() -> None:
    frames = log()
    assert verdict(frames[:4]).lost_events == 2  # completed and session_cost
    assert verdict(frames[:2] + frames[4:]).lost_events == 1


def test_a_frame_that_is_on_the_log_twice_is_found() -> None:
    frames = log()
    assert verdict([*frames, frames[3]]).doubled_frames == 1


def again(frame: OcppFrame, old: str, new: str) -> OcppFrame:
    """The same message under another id, on another connection."""
    raw = frame.raw.replace(f'"{old}"'.encode(), f'"{new}"'.encode())
    return msgspec.structs.replace(frame, raw=raw, message_id=new, connection_id="c-2")


def test_a_retried_message_is_none_and_a_doubled_event_is_found() -> None:
    frames = log()
    retried = [*frames[:2], again(frames[0], "1", "1b"), again(frames[1], "1", "1b"), *frames[2:]]
    assert verdict(retried) == Verdict()
    # A second measurement that claims the same session.
    other = msgspec.structs.replace(
        again(frames[2], "2", "2b"), raw=frames[2].raw.replace(b"00:30", b"00:31")
    )
    assert verdict([*frames[:4], other, *frames[4:]]).doubled_events == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda raw: raw.replace(b'"transactionId": 7', b'"transactionId": 8'), "transaction_ids"),
        (lambda raw: raw, "out_of_order"),
    ],
)
def test_two_ids_for_one_start_and_times_that_stand_still_are_found(
    change: Callable[[bytes], bytes], field: str
) -> None:
    frames = log()
    second = again(frames[1], "1", "1b")
    second = msgspec.structs.replace(second, raw=change(second.raw))
    wrong = [*frames[:2], again(frames[0], "1", "1b"), second, *frames[2:]]
    if field == "out_of_order":
        wrong = [frames[0], *frames]
    assert getattr(verdict(wrong), field) == 1


def test_another_register_than_the_charge_points_is_found() -> None:
    session = msgspec.structs.replace(SESSION, meter_stop=1501)
    assert verify(log(), acknowledged(), [session]).altered_events == 1


def test_records_are_read_without_the_codec() -> None:
    frame = log()[0]
    assert decode(frame_codec().encode(frame)) == frame
