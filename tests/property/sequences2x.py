"""OCPP 2.0.1 and 2.1 frames, sensible or not.

Few different values, so that ids meet again, registers run backwards and times collide.
"""

import json
from typing import Any, NamedTuple

import orjson
from frames16 import frame
from hypothesis import strategies as st
from reduction import JSON, MESSAGE_IDS, at_times

from schemas.frames import OcppFrame

IDS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 4, "1", None])
EVSES = st.sampled_from(
    [None, {"id": 1}, {"id": 1, "connectorId": 1}, {"id": 1, "connectorId": 2}, {"id": 2}, 3]
)
TOKENS = st.sampled_from([None, {"idToken": "A", "type": "Central"}, {"idToken": ""}, 1])
TIMES = st.sampled_from(
    [
        "2023-12-07T10:15:30Z",
        "2023-12-07T10:16:00Z",
        "2023-12-07T10:30:00Z",
        "2023-12-07T12:45:30.5Z",
        "2023-12-07T11:45:30",
        "1970-01-01T00:00:00Z",
        "never",
        None,
    ]
)
SAMPLES = st.fixed_dictionaries(
    {"value": st.sampled_from([0, 1200, 1500.5, 99_999_999, "x", "12"])},
    optional={
        "measurand": st.sampled_from(["Power.Active.Import", "Voltage"]),
        "phase": st.sampled_from(["L1", "L2", None]),
        "context": st.sampled_from(["Transaction.Begin", "Transaction.End"]),
        "location": st.sampled_from(["Inlet", "Outlet", "Upstream"]),
        "unitOfMeasure": st.sampled_from(
            [{"unit": "Wh"}, {"unit": "kWh"}, {"unit": "W"}, {"unit": "Wh", "multiplier": 1}, {}]
        ),
    },
)
ELEMENTS = st.lists(
    st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, max_size=3)}),
    max_size=2,
)
CALLS: dict[str, st.SearchStrategy[Any]] = {
    "StatusNotification": st.fixed_dictionaries(
        {
            "evseId": st.sampled_from([0, 1, 1, 2]),
            "connectorId": st.sampled_from([1, 2]),
            "connectorStatus": st.sampled_from(["Available", "Occupied"]),
        }
    ),
    "MeterValues": st.fixed_dictionaries(
        {"evseId": st.sampled_from([0, 1, 2]), "meterValue": ELEMENTS}
    ),
    "TransactionEvent": st.fixed_dictionaries(
        {
            "eventType": st.sampled_from(["Started", "Updated", "Updated", "Ended"]),
            "timestamp": TIMES,
            "seqNo": NUMBERS,
            "transactionInfo": st.fixed_dictionaries({"transactionId": IDS}),
        },
        optional={"evse": EVSES, "idToken": TOKENS, "meterValue": ELEMENTS},
    ),
}
PROTOCOLS = st.sampled_from(["ocpp2.0.1", "ocpp2.1"])


@st.composite
def _calls(draw: st.DrawFn) -> OcppFrame:
    action = draw(st.sampled_from([*sorted(CALLS), "TransactionEvent", "TransactionEvent"]))
    payload = draw(JSON if draw(st.integers(0, 9)) == 7 else CALLS[action])
    message_id = draw(MESSAGE_IDS)
    return frame(
        json.dumps([2, message_id, action, payload]),
        action=action,
        message_id=message_id,
        violation=draw(st.sampled_from([None, None, "violates its schema"])),
        protocol=draw(PROTOCOLS),
    )


@st.composite
def _answers(draw: st.DrawFn) -> OcppFrame:
    message_id = draw(MESSAGE_IDS)
    status = draw(st.sampled_from(["Accepted", "ConcurrentTx"]))
    return frame(
        orjson.dumps([3, message_id, {"idTokenInfo": {"status": status}}]),
        kind="CALLRESULT",
        action=draw(st.sampled_from(["TransactionEvent", None])),
        message_id=message_id,
        direction="outbound",
        protocol="ocpp2.0.1",
    )


SEQUENCES = at_times(st.lists(_calls() | _answers(), max_size=16))


class _Told(NamedTuple):
    """One message of a clean session: minutes after 10:00, register in Wh."""

    event_type: str
    minute: int
    wh: int
    context: str


def session(tx: str, start: int, updates: int) -> list[OcppFrame]:
    """A clean session; energy 100 Wh a message."""
    told = [
        _Told("Started", start, 1000, "Transaction.Begin"),
        *(
            _Told("Updated", start + n, 1000 + 100 * n, "Sample.Periodic")
            for n in range(1, updates + 1)
        ),
        _Told("Ended", start + updates + 1, 1100 + 100 * updates, "Transaction.End"),
    ]
    return [_frame(tx, number, message) for number, message in enumerate(told)]


def _frame(tx: str, number: int, told: _Told) -> OcppFrame:
    at = f"2023-12-07T10:{told.minute:02}:00Z"
    payload = {
        "eventType": told.event_type,
        "timestamp": at,
        "triggerReason": "Trigger",
        "seqNo": number,
        "transactionInfo": {"transactionId": tx},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": told.wh, "context": told.context}]}
        ],
    }
    message_id = f"{tx}{number}"
    raw = orjson.dumps([2, message_id, "TransactionEvent", payload])
    return frame(raw, action="TransactionEvent", message_id=message_id, protocol="ocpp2.0.1")
