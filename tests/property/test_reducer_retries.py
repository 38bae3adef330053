"""OCPP 1.6 sessions whose requests are sent again, live or much later, as firmware does it."""

from collections import Counter
from typing import Final, NamedTuple

import msgspec
import orjson
from frames16 import SECOND_NS, START_NS, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.reducer import reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs
from schemas.events import Completed, SessionCost
from schemas.frames import OcppFrame

LATER_NS: Final = START_NS + 30 * 24 * 3600 * SECOND_NS
"""All is received after it happened."""


class Session(NamedTuple):
    """The `number`-th session of a connector: 700 Wh."""

    connector_id: int
    number: int

    @property
    def transaction_id(self) -> int:
        """As the log gives it: the same for the same request."""
        return 10 * self.number + self.connector_id

    def time(self, of_day: str) -> str:
        """A session a day."""
        return f"2023-12-{7 + self.number:02}T{of_day}Z"


def _call(message_id: str, action: str, payload: dict[str, object]) -> OcppFrame:
    raw = orjson.dumps([2, message_id, action, payload])
    return frame(raw, action=action, message_id=message_id)


def _asked(session: Session, message_id: str) -> list[OcppFrame]:
    """A StartTransaction whose answer gets lost before it is on the log."""
    payload = {
        "connectorId": session.connector_id,
        "idTag": "T",
        "meterStart": 1000 * session.number,
        "timestamp": session.time("10:15:30"),
    }
    return [_call(message_id, "StartTransaction", payload)]


def _started(session: Session, message_id: str) -> list[OcppFrame]:
    result = {"transactionId": session.transaction_id, "idTagInfo": {"status": "Accepted"}}
    answer = frame(
        orjson.dumps([3, message_id, result]),
        kind="CALLRESULT",
        direction="outbound",
        action="StartTransaction",
        message_id=message_id,
    )
    return [*_asked(session, message_id), answer]


def _stopped(session: Session, message_id: str) -> list[OcppFrame]:
    at, wh = session.time("11:15:30"), 1000 * session.number + 700
    sample = {"value": str(wh), "context": "Transaction.End"}
    payload = {
        "transactionId": session.transaction_id,
        "meterStop": wh,
        "timestamp": at,
        "transactionData": [{"timestamp": at, "sampledValue": [sample]}],
    }
    return [_call(message_id, "StopTransaction", payload)]


_STEPS = (_asked, _started, _stopped)


@st.composite
def _logs(draw: st.DrawFn) -> tuple[list[OcppFrame], list[Session]]:
    """Frames of two connectors, and the sessions that ended."""
    frames: list[OcppFrame] = []
    sent: list[tuple[int, Session, str]] = []
    ended: list[Session] = []
    now = {1: (Session(1, 0), 1), 2: (Session(2, 0), 1)}
    for place, connector in enumerate(draw(st.lists(st.sampled_from([1, 2]), max_size=20))):
        session, step = now[connector]
        if step == 1 and draw(st.booleans()):
            frames += _asked(session, f"lost{place}")
        frames += _STEPS[step](session, f"m{place}")
        sent.append((step, session, f"m{place}"))
        if step == len(_STEPS) - 1:
            ended.append(session)
            now[connector] = session._replace(number=session.number + 1), 1
        else:
            now[connector] = session, step + 1
        for old_step, old, message_id in draw(st.lists(st.sampled_from(sent), max_size=2)):
            new_id = f"{message_id}-again-{place}" if draw(st.booleans()) else message_id
            frames += _STEPS[old_step](old, new_id)
    return frames, ended


@given(_logs())
@settings(max_examples=150, deadline=None)
def test_however_requests_are_sent_again_each_session_is_billed_once_and_right(
    log: tuple[list[OcppFrame], list[Session]],
) -> None:
    frames, ended = log
    rows = MemoryRows()
    events = [
        event
        for place, new in enumerate(frames)
        for event in reduce(
            msgspec.structs.replace(new, received_at_ns=LATER_NS + place), rows, Tariffs()
        )
    ]
    completed = [event.payload for event in events if isinstance(event.payload, Completed)]
    costs = [event.payload for event in events if isinstance(event.payload, SessionCost)]
    expected = Counter(session.transaction_id for session in ended)
    assert Counter(one.transaction_id for one in completed) == expected
    assert Counter(one.transaction_id for one in costs) == expected
    assert {one.energy_used for one in completed} <= {0.7}
    assert not [event for event in events if event.anomalies]
