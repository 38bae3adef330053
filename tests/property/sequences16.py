"""OCPP 1.6 frames, sensible or not.

Few different values, so that ids meet again, registers run backwards and times collide.
"""

import json
from typing import Any

import orjson
from frames16 import frame
from hypothesis import strategies as st
from reduction import JSON, MESSAGE_IDS, at_times

from schemas.frames import OcppFrame

CONNECTORS = st.sampled_from([0, 1, 1, 1, 2, "1"])
IDS = st.sampled_from([1, 2, 3, 1, 2, 3, "2", -1, 0])
TAGS = st.sampled_from(["A", "B", None])
REGISTERS = st.sampled_from([0, 1000, 1500, 2500, 99_999, "2000", -1, None])
TIMES = st.sampled_from(
    [
        "2023-12-07T10:15:30Z",
        "2023-12-07T10:16:00Z",
        "2023-12-07T10:30:00Z",
        "2023-12-07T12:45:30.5Z",
        "2023-12-07T11:45:30",
        "2023-12-07T12:00:00+01:00",
        "1970-01-01T00:00:00Z",
        "never",
        None,
    ]
)
SAMPLES = st.fixed_dictionaries(
    {"value": st.sampled_from(["0", "1200", "1500.5", "x"])},
    optional={
        "measurand": st.sampled_from(["Power.Active.Import", "Voltage"]),
        "phase": st.sampled_from(["L1", "L2"]),
        "context": st.sampled_from(["Transaction.Begin", "Transaction.End"]),
        "location": st.sampled_from(["Inlet", "Outlet"]),
        "format": st.sampled_from(["Raw", "SignedData"]),
        "unit": st.sampled_from(["Wh", "kWh", "W"]),
    },
)
ELEMENTS = st.lists(
    st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, max_size=3)}),
    max_size=2,
)
CALLS: dict[str, st.SearchStrategy[Any]] = {
    "StatusNotification": st.fixed_dictionaries(
        {
            "connectorId": CONNECTORS,
            "status": st.sampled_from(["Available", "Charging"]),
            "errorCode": st.sampled_from(["NoError", "OtherError"]),
        }
    ),
    "StartTransaction": st.fixed_dictionaries(
        {"connectorId": CONNECTORS, "idTag": TAGS, "meterStart": REGISTERS, "timestamp": TIMES}
    ),
    "MeterValues": st.fixed_dictionaries(
        {"connectorId": CONNECTORS, "meterValue": ELEMENTS}, optional={"transactionId": IDS}
    ),
    "StopTransaction": st.fixed_dictionaries(
        {"transactionId": IDS, "meterStop": REGISTERS, "timestamp": TIMES},
        optional={"idTag": TAGS, "transactionData": ELEMENTS},
    ),
}


@st.composite
def _calls(draw: st.DrawFn) -> OcppFrame:
    action = draw(st.sampled_from(sorted(CALLS)))
    payload = draw(JSON if draw(st.integers(0, 9)) == 7 else CALLS[action])
    message_id = draw(MESSAGE_IDS)
    raw = json.dumps([2, message_id, action, payload]).encode()
    violation = draw(st.sampled_from([None, None, "violates its schema"]))
    return frame(raw, action=action, message_id=message_id, violation=violation)


@st.composite
def _answers(draw: st.DrawFn) -> OcppFrame:
    status = draw(st.sampled_from(["Accepted", "Blocked"]))
    message_id = draw(MESSAGE_IDS)
    return frame(
        orjson.dumps(
            [3, message_id, {"transactionId": draw(IDS), "idTagInfo": {"status": status}}]
        ),
        kind=draw(st.sampled_from(["CALLRESULT", "CALLRESULT", "CALLRESULT", "CALLERROR"])),
        action=draw(st.sampled_from(["StartTransaction", "StartTransaction", None])),
        message_id=message_id,
        direction="outbound",
    )


@st.composite
def _sessions(draw: st.DrawFn) -> list[OcppFrame]:
    """A Start with its answer, then perhaps other frames and a Stop."""
    message_id = draw(MESSAGE_IDS)
    transaction_id = draw(IDS)
    start = orjson.dumps([2, message_id, "StartTransaction", draw(CALLS["StartTransaction"])])
    answer = {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}
    stop = {**draw(CALLS["StopTransaction"]), "transactionId": transaction_id}
    return [
        frame(start, action="StartTransaction", message_id=message_id),
        frame(
            orjson.dumps([3, message_id, answer]),
            kind="CALLRESULT",
            action="StartTransaction",
            message_id=message_id,
            direction="outbound",
        ),
        *draw(st.lists(_calls(), max_size=3)),
        *(
            [frame(orjson.dumps([2, "c", "StopTransaction", stop]), action="StopTransaction")]
            * draw(st.integers(0, 2))
        ),
    ]


@st.composite
def _frames(draw: st.DrawFn) -> list[OcppFrame]:
    one = (_calls() | _answers()).map(lambda new: [new])
    return [new for some in draw(st.lists(one | _sessions(), max_size=12)) for new in some]


SEQUENCES = at_times(_frames())
