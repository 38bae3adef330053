"""StartTransaction (OCPP 1.6 §4.8) → started.

A session opens with the answer that assigns its id. Charge points resend the request when the
answer gets lost, so each answer is first asked whether it opens a session or names one again.
"""

import re
from typing import Final

from msgspec.structs import replace

from processor.abandonment import abandon
from processor.fields import (
    IndigestibleFrameError,
    connector_id,
    integer,
    needed_integer,
    payload_of,
    session_time,
    text,
    written,
)
from processor.ocpp16.history import (
    abandoned_with,
    close_in_time,
    ended_with,
    same_content,
    seen_before,
    with_id,
    without_orphan,
)
from processor.ocpp16.meter_values import INVALID_ID
from processor.state import CHARGE_POINT, Start, Transaction
from processor.step import Anomalies, Step
from processor.version_change import leave_2x
from schemas.events import Started

MAX_PENDING: Final = 32
"""StartTransaction requests remembered without an answer; a charge point has one or two."""
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def start_called(step: Step) -> None:
    """Remember the request until its answer assigns the id.

    Raises:
        IndigestibleFrameError: No connectorId.
    """
    payload = payload_of(step.frame, 3)
    found = step.anomalies()
    connector = connector_id(step.frame, payload, found)
    if connector == CHARGE_POINT:
        found.add("invalid_connector_id")
    timestamp = payload.get("timestamp")
    start = Start(
        connector_id=connector,
        id_tag=text(payload.get("idTag"), found),
        meter_start=integer(payload.get("meterStart"), found),
        start_time=session_time(timestamp, step.received_at, found),
        start_text=written(timestamp),
        received_at=step.received_at,
        anomalies=tuple(sorted(found)),
    )
    message_id = step.frame.message_id or ""
    pending = {key: old for key, old in step.charge_point.pending.items() if key != message_id}
    pending[message_id] = start
    if len(pending) > MAX_PENDING:
        del pending[next(iter(pending))]
    step.charge_point = replace(step.charge_point, pending=pending)


def start_refused(step: Step) -> None:
    """A CALLERROR: there is no session; the charge point may ask again."""
    _forget_pending(step)


def start_answered(step: Step) -> None:
    """The id is assigned: the session is open, whatever the idTag's status.

    Raises:
        IndigestibleFrameError: No transactionId, or the request was never seen.
    """
    start = step.charge_point.pending.get(step.frame.message_id or "")
    if start is None and step.frame.action is None:
        return  # the answer to some other call
    payload = payload_of(step.frame, 2)
    found = step.anomalies()
    transaction_id = needed_integer(step.frame, payload, "transactionId", found)
    if start is None:
        _answered_again(step, transaction_id)
        return
    _forget_pending(step)
    if _is_retransmitted(step, transaction_id, start):
        return
    row = step.connector(start.connector_id)
    found.update(start.anomalies)
    if transaction_id <= 0:
        found.add(INVALID_ID)
    elif _is_known(step, transaction_id):
        found.add("transaction_id_reused")
    _note_status(payload.get("idTagInfo"), found)
    leave_2x(step)
    if row.transaction is not None:
        abandon(step, row.transaction)
    step.emit(
        "started",
        Started(
            transaction_id=transaction_id,
            connector_id=start.connector_id,
            id_tag=start.id_tag,
            meter_start=start.meter_start,
            start_time=start.start_time,
            status="started",
        ),
        found,
    )
    step.put_connector(
        start.connector_id,
        replace(
            row, transaction=Transaction(ids=(transaction_id,), start=start), reading_time=None
        ),
    )
    history = step.history()
    kept = without_orphan(history, transaction_id)
    if kept is not history:
        step.put_history(kept)


def _forget_pending(step: Step) -> None:
    pending = step.charge_point.pending
    message_id = step.frame.message_id or ""
    if message_id in pending:
        rest = {key: start for key, start in pending.items() if key != message_id}
        step.charge_point = replace(step.charge_point, pending=rest)


def _answered_again(step: Step, transaction_id: int) -> None:
    """An answer whose request is not pending: the same one twice, or the request was lost."""
    if not _is_known(step, transaction_id):
        raise IndigestibleFrameError(
            f"StartTransaction CALLRESULT {step.frame.message_id!r} of {step.frame.client_id!r} "
            f"assigns transactionId {transaction_id}, but its request is not on the log before it"
        )


def _is_known(step: Step, transaction_id: int) -> bool:
    history = step.history()
    return (
        bool(step.open_sessions(transaction_id))
        or abandoned_with(history, transaction_id) is not None
        or ended_with(history, transaction_id)
    )


def _is_retransmitted(step: Step, transaction_id: int, start: Start) -> bool:
    """Whether this Start was seen before; a new id for it is remembered as another of its ids."""
    row = step.connector(start.connector_id)
    opened = row.transaction
    if opened is not None and same_content(opened.start, start):
        known = transaction_id in opened.ids
        if (known and transaction_id > 0) or close_in_time(opened.start, start):
            if not known:
                ids = with_id(opened.ids, transaction_id)
                step.put_connector(
                    start.connector_id, replace(row, transaction=replace(opened, ids=ids))
                )
            return True
    history = step.history()
    seen = seen_before(history, transaction_id, start)
    if seen is None:
        return False
    if seen is not history:
        step.put_history(seen)
    return True


def _note_status(id_tag_info: object, found: Anomalies) -> None:
    status = id_tag_info.get("status") if type(id_tag_info) is dict else None
    status = text(status, found)
    if status is not None and status != "Accepted":
        found.add("id_tag_" + _WORD.sub("_", status).lower())
