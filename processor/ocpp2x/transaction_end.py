"""The end of an OCPP 2.0.1 or 2.1 transaction: its last readings, completed, session_cost."""

from typing import Final

from msgspec.structs import replace

from processor.fields import session_time
from processor.measurands import REGISTER
from processor.ocpp2x.evse_rows import drop_open, put_ended
from processor.ocpp2x.evse_state import End, EndedTransaction, EvseTransaction
from processor.ocpp2x.evse_values import keep_last, with_reading
from processor.ocpp2x.message_numbers import has_gap
from processor.ocpp2x.transaction_message import TransactionMessage
from processor.readings import BEGIN, Reading, emit_reading
from processor.session_sums import duration_minutes, energy_kwh, micros_between, session_cost
from processor.step import Anomalies, Step
from schemas.events import Completed

MISSING_START: Final = "missing_start"
_DEFAULT_REASON: Final = "Local"  # Part 2, TransactionType: may be left out only if it is Local
_NOT_END: Final = "context_not_end"


def end(step: Step, message: TransactionMessage, transaction: EvseTransaction) -> EndedTransaction:
    """The events of an Ended; the transaction as it is to be kept."""
    found = set(message.found)
    # Its readings look back on the transaction, so they are compared with one another only.
    over = replace(transaction, register=None, reading_time=None, meter_end=None)
    for reading in message.readings:
        over = with_reading(over, reading, live=False)
        if not over.started:
            reading.found.add(MISSING_START)
        emit_reading(step, reading, over.id, over.connector_id, over.evse_id or None)
    keep_last(step, over.evse_id, message.readings)
    meter_stop = over.meter_end
    if meter_stop is None:
        meter_stop = _last_register(message.readings)
        if meter_stop is None:
            meter_stop = transaction.meter_end
        else:
            found.add(_NOT_END)
    stop_time = session_time(message.timestamp, step.received_at, found)
    stopped = End(
        meter_stop=meter_stop,
        stop_time=stop_time,
        reason=message.stopped_reason or _DEFAULT_REASON,
        id_tag=message.id_tag,
        anomalies=tuple(sorted(found)),
    )
    complete(step, over, stopped)
    return EndedTransaction(transaction=over, end=stopped)


def _last_register(readings: list[Reading]) -> int | None:
    """The newest register but for that of the begin; of those without time the last."""
    registers = [
        (reading.timestamp or 0, place, reading.register)
        for place, reading in enumerate(readings)
        if reading.register is not None and reading.measurands[REGISTER].context != BEGIN
    ]
    return max(registers)[2] if registers else None


def complete(step: Step, transaction: EvseTransaction, stopped: End) -> None:
    """Say that the transaction is over, and what it costs if its start is known."""
    found = {*stopped.anomalies, *transaction.anomalies}
    if has_gap(transaction.seen):
        found.add("seq_no_gap")
    id_tag = transaction.id_tag
    if not transaction.started:
        found |= {MISSING_START, "cost_unknown"}
        id_tag = id_tag or stopped.id_tag
    duration = duration_minutes(transaction.start_time, stopped.stop_time, found)
    completed = Completed(
        transaction_id=transaction.id,
        connector_id=transaction.connector_id,
        id_tag=id_tag,
        meter_start=transaction.meter_start,
        meter_stop=stopped.meter_stop,
        start_time=transaction.start_time,
        stop_time=stopped.stop_time,
        energy_used=_energy(transaction, stopped, found),
        duration=duration,
        reason=stopped.reason,
        status="completed",
        evse_id=transaction.evse_id or None,
    )
    cost = None
    if transaction.started:
        cost = session_cost(step, transaction.evse_id, transaction.received_at, completed, found)
    step.emit("completed", completed, found)
    if cost is not None:
        step.emit("session_cost", cost, found)


def abandon(step: Step, transaction: EvseTransaction) -> EndedTransaction:
    """Say that the transaction is over because the next one started; its Ended may still come."""
    found = {"missing_stop", *transaction.anomalies}
    if not transaction.started:
        found.add(MISSING_START)
    stopped = End(meter_stop=transaction.register)
    step.emit(
        "completed",
        Completed(
            transaction_id=transaction.id,
            connector_id=transaction.connector_id,
            id_tag=transaction.id_tag,
            meter_start=transaction.meter_start,
            meter_stop=transaction.register,
            start_time=transaction.start_time,
            stop_time=None,
            energy_used=_energy(transaction, stopped, found),
            duration=None,
            reason=None,
            status="abandoned",
            evse_id=transaction.evse_id or None,
        ),
        found,
    )
    return EndedTransaction(transaction=transaction)


def give_up(step: Step, transaction: EvseTransaction) -> None:
    """Abandon an open transaction."""
    record = abandon(step, transaction)
    drop_open(step, transaction)
    put_ended(step, record)


def _energy(transaction: EvseTransaction, stopped: End, found: Anomalies) -> float | None:
    """KWh; None where it is unknown, or more than can have been delivered."""
    micros = micros_between(transaction.start_time, stopped.stop_time)
    energy = energy_kwh(transaction.meter_start, stopped.meter_stop, found, micros)
    if energy is not None and transaction.jumped:
        found.add("energy_implausible")
        return None
    return energy
