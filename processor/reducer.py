"""The reducer: (rows, frame) → (rows, business events). No clock, no I/O, no framework.

The same frames give the same events, byte for byte, live or replayed. Each rule stands in
docs/reducer-rules.md with the test that proves it.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from processor.fields import IndigestibleFrameError
from processor.ocpp2x.evse_status import event_notified
from processor.ocpp2x.evse_status import status_notified as evse_status_notified
from processor.ocpp2x.evse_values import meter_values_reported
from processor.ocpp2x.transaction_events import transaction_answered, transaction_reported
from processor.ocpp16.meter_values import meter_values_sent
from processor.ocpp16.starts import start_answered, start_called, start_refused
from processor.ocpp16.status import status_notified
from processor.ocpp16.stops import stop_called
from processor.state import Rows
from processor.step import Step
from processor.tariff import Tariffs
from schemas.events import BusinessEvent
from schemas.frames import INBOUND, OUTBOUND, OcppFrame

__all__ = ["IndigestibleFrameError", "Rows", "reduce"]

Handler: TypeAlias = Callable[[Step], None]

# Every other frame has no business meaning and is passed over before its text is parsed. A result
# without action comes from a log whose calls were not correlated; its messageId may still be known.
_OCPP16: Final[dict[tuple[str, str | None, str], Handler]] = {
    ("CALL", "StatusNotification", INBOUND): status_notified,
    ("CALL", "StartTransaction", INBOUND): start_called,
    ("CALLRESULT", "StartTransaction", OUTBOUND): start_answered,
    ("CALLRESULT", None, OUTBOUND): start_answered,
    ("CALLERROR", "StartTransaction", OUTBOUND): start_refused,
    ("CALLERROR", None, OUTBOUND): start_refused,
    ("CALL", "MeterValues", INBOUND): meter_values_sent,
    ("CALL", "StopTransaction", INBOUND): stop_called,
}

_OCPP20: Final[dict[tuple[str, str | None, str], Handler]] = {
    ("CALL", "StatusNotification", INBOUND): evse_status_notified,
    ("CALL", "NotifyEvent", INBOUND): event_notified,
    ("CALL", "TransactionEvent", INBOUND): transaction_reported,
    # OCPP 2.1 knows no such SEND; should a charge point send it so, it is a fact all the same.
    ("SEND", "TransactionEvent", INBOUND): transaction_reported,
    ("CALLRESULT", "TransactionEvent", OUTBOUND): transaction_answered,
    ("CALLRESULT", None, OUTBOUND): transaction_answered,
    ("CALL", "MeterValues", INBOUND): meter_values_reported,
}

_HANDLERS: Final[dict[str, dict[tuple[str, str | None, str], Handler]]] = {
    "ocpp1.6": _OCPP16,
    "ocpp2.0.1": _OCPP20,
    # What 2.1 adds tells nothing new about sessions: docs/reducer-rules.md, "What 2.1 adds".
    "ocpp2.1": _OCPP20,
}
_NO_HANDLERS: Final[dict[tuple[str, str | None, str], Handler]] = {}


def reduce(frame: OcppFrame, rows: Rows, tariffs: Tariffs) -> list[BusinessEvent]:
    """What the frame means to the business, in order; often nothing.

    Args:
        frame: The next frame of its charge point.
        rows: The state so far; brought up to date.
        tariffs: Prices for session_cost.

    Raises:
        IndigestibleFrameError: The frame lacks what its event can't do without. No row was set.
    """
    handler = _HANDLERS.get(frame.protocol, _NO_HANDLERS).get(
        (frame.kind, frame.action, frame.direction)
    )
    if handler is None:
        return []
    step = Step(frame, rows, tariffs)
    handler(step)
    step.commit()
    return step.events
