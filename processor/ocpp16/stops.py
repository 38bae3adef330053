"""StopTransaction (OCPP 1.6 §4.10) → its transactionData, completed, session_cost."""

from typing import Final

from msgspec.structs import replace

from processor.fields import integer, needed_integer, payload_of, session_time, text, written
from processor.ocpp16.history import (
    abandoned_with,
    ended_with,
    known_stop,
    with_closed,
    with_orphan,
)
from processor.ocpp16.meter_values import INVALID_ID, read_transaction_data
from processor.readings import Reading, emit_reading
from processor.session_sums import duration_minutes, energy_kwh, micros_between, session_cost
from processor.state import ClosedTransaction, StopContent, Transaction
from processor.step import Anomalies, Step
from schemas.events import Completed

_DEFAULT_REASON: Final = "Local"  # OCPP 1.6 §6.49: the reason may be left out if it is Local


def stop_called(step: Step) -> None:
    """The session's last word: its transactionData, what it used, what it costs.

    Raises:
        IndigestibleFrameError: No transactionId.
    """
    payload = payload_of(step.frame, 3)
    violations = step.anomalies()
    found = set(violations)
    transaction_id = needed_integer(step.frame, payload, "transactionId", found)
    if transaction_id <= 0:
        found.add(INVALID_ID)
    timestamp = payload.get("timestamp")
    stop = StopContent(
        meter_stop=integer(payload.get("meterStop"), found),
        stop_text=written(timestamp),
        id_tag=None if payload.get("idTag") is None else text(payload["idTag"], found),
    )
    if known_stop(step.history(), transaction_id, stop):
        return
    opened = step.open_sessions(transaction_id)
    transaction = _stopped(opened, transaction_id, stop.id_tag)
    if not opened:
        transaction = abandoned_with(step.history(), transaction_id)
        if transaction is None and ended_with(step.history(), transaction_id):
            return
    stop_time = session_time(timestamp, step.received_at, found)
    reason = payload.get("reason")
    reason = _DEFAULT_REASON if reason is None else text(reason, found)
    elements = read_transaction_data(payload.get("transactionData"), found, violations)
    if transaction is None:
        _orphan_stopped(step, transaction_id, stop, stop_time, reason, elements, found)
        return
    _close(step, transaction, stop)
    start = transaction.start
    for element in elements:
        emit_reading(step, element, transaction.ids[0], start.connector_id)
    found.update(start.anomalies)
    completed = Completed(
        transaction_id=transaction.ids[0],
        connector_id=start.connector_id,
        id_tag=start.id_tag,
        meter_start=start.meter_start,
        meter_stop=stop.meter_stop,
        start_time=start.start_time,
        stop_time=stop_time,
        energy_used=energy_kwh(
            start.meter_start, stop.meter_stop, found, micros_between(start.start_time, stop_time)
        ),
        duration=duration_minutes(start.start_time, stop_time, found),
        reason=reason,
        status="completed",
    )
    cost = session_cost(step, start.connector_id, start.received_at, completed, found)
    step.emit("completed", completed, found)
    if cost is not None:
        step.emit("session_cost", cost, found)


def _stopped(
    opened: list[Transaction], transaction_id: int, id_tag: str | None
) -> Transaction | None:
    """Which of the open sessions with the id the Stop means; None where it may be several.

    Ids up to 0 tell little: they count only if the session was itself given that id and the Stop's
    idTag, where there is one, is the session's.
    """
    if transaction_id <= 0 and id_tag is not None:
        opened = [transaction for transaction in opened if transaction.start.id_tag == id_tag]
    return opened[0] if len(opened) == 1 else None


def _close(step: Step, transaction: Transaction, stop: StopContent) -> None:
    """Move the session to the closed ones."""
    connector = transaction.start.connector_id
    row = step.connector(connector)
    if row.transaction == transaction:
        step.put_connector(connector, replace(row, transaction=None))
    step.put_history(
        with_closed(
            step.history(),
            ClosedTransaction(ids=transaction.ids, start=transaction.start, stop=stop),
        )
    )


def _orphan_stopped(  # noqa: PLR0913, PLR0917  # all that is known of such a session
    step: Step,
    transaction_id: int,
    stop: StopContent,
    stop_time: int | None,
    reason: str | None,
    elements: list[Reading],
    found: Anomalies,
) -> None:
    """A Stop whose Start was never seen: what it says itself, and no more."""
    step.put_history(with_orphan(step.history(), transaction_id, stop))
    for element in elements:
        emit_reading(step, element, transaction_id, None)
    begins = [element.begin for element in elements if element.begin is not None]
    meter_start = begins[0] if begins else None
    found |= {"missing_start", "cost_unknown"}
    step.emit(
        "completed",
        Completed(
            transaction_id=transaction_id,
            connector_id=None,
            id_tag=stop.id_tag,
            meter_start=meter_start,
            meter_stop=stop.meter_stop,
            start_time=None,
            stop_time=stop_time,
            energy_used=energy_kwh(meter_start, stop.meter_stop, found),
            duration=None,
            reason=reason,
            status="completed",
        ),
        found,
    )
