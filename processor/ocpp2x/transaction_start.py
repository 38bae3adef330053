"""The start of an OCPP 2.0.1 or 2.1 transaction: started, and what it ends."""

from typing import Final

from msgspec.structs import replace

from processor.fields import moment, session_time
from processor.measurands import REGISTER
from processor.ocpp2x.evse_rows import evse, is_later, put_open
from processor.ocpp2x.evse_state import NO_EVSE, EvseTransaction
from processor.ocpp2x.evse_values import NOT_BEGIN, keep_last, with_reading
from processor.ocpp2x.transaction_end import give_up
from processor.ocpp2x.transaction_message import TransactionMessage
from processor.ocpp2x.transaction_progress import OUT_OF_ORDER, ask, emit_readings, with_codes
from processor.ocpp16.history import SAME_START_MICROS
from processor.readings import END
from processor.step import Anomalies, Step
from processor.version_change import leave_16
from schemas.events import Started

MAX_OPEN: Final = 16
"""Transactions open at once on an EVSE; there is one, unless messages were lost or overtook."""


def open_transaction(
    step: Step,
    message: TransactionMessage,
    transaction: EvseTransaction,
    found: Anomalies,
    old: EvseTransaction | None = None,
) -> None:
    """Open the transaction of a Started, in place of what was known of it before."""
    transaction = with_start(step, transaction, message, found)
    leave_16(step)
    make_room(step, transaction)
    emit_started(step, message, transaction, found)
    # A new session starts afresh: a clock that was ahead troubles one session only.
    keep_last(step, transaction.evse_id, message.readings, afresh=old is None)
    put_open(step, transaction, old)
    ask(step, message)


def with_start(
    step: Step, transaction: EvseTransaction, message: TransactionMessage, found: Anomalies
) -> EvseTransaction:
    """The transaction with what its Started says.

    The register sent with it is the meterStart even where its context is not Transaction.Begin.
    """
    start_time = session_time(message.timestamp, step.received_at, found)
    transaction = replace(
        transaction,
        started=True,
        start_time=start_time,
        start_text=message.timestamp,
        id_tag=message.id_tag or transaction.id_tag,
    )
    for reading in message.readings:
        transaction = with_reading(transaction, reading)
    if transaction.meter_start is None:
        for reading in message.readings:
            if reading.register is not None and reading.measurands[REGISTER].context != END:
                transaction = replace(transaction, meter_start=reading.register)
                found.add(NOT_BEGIN)
                break
    return replace(transaction, anomalies=with_codes(transaction.anomalies, found - {OUT_OF_ORDER}))


def emit_started(
    step: Step, message: TransactionMessage, transaction: EvseTransaction, found: Anomalies
) -> None:
    """The transaction's event, then those of the readings in its Started."""
    step.emit(
        "started",
        Started(
            transaction_id=transaction.id,
            connector_id=transaction.connector_id,
            id_tag=transaction.id_tag,
            meter_start=transaction.meter_start,
            start_time=transaction.start_time,
            status="started",
            evse_id=transaction.evse_id or None,
        ),
        found,
    )
    emit_readings(step, message, transaction)


def is_same_start(
    transaction: EvseTransaction, message: TransactionMessage, *, unless_known: bool
) -> bool:
    """Whether a Started is the transaction's own, sent again.

    Args:
        transaction: One whose Started was seen.
        message: A Started with its id.
        unless_known: The answer where one of the times is not known.
    """
    if message.timestamp == transaction.start_text:
        return True
    time = moment(message.timestamp, set())
    if time is None or transaction.start_time is None:
        return unless_known
    return abs(time - transaction.start_time) <= SAME_START_MICROS


def make_room(step: Step, transaction: EvseTransaction) -> None:
    """Give up what can't go on beside the transaction.

    An EVSE has one transaction at a time (Part 2, E), so whatever started there before has ended.
    """
    staying = []
    for other in evse(step, transaction.evse_id).transactions:
        if other.id == transaction.id:
            continue
        if (
            transaction.started
            and transaction.evse_id != NO_EVSE
            and not is_later(other, transaction)
        ):
            give_up(step, other)
        else:
            staying.append(other)
    for other in staying[: max(0, len(staying) - MAX_OPEN + 1)]:
        give_up(step, other)
