"""A transaction and its next message (OCPP 2.0.1 and 2.1 Part 2, E): what every message does."""

from typing import Final

from msgspec.structs import replace

from processor.ocpp2x.evse_state import NO_EVSE, EvseTransaction
from processor.ocpp2x.evse_values import keep_last, with_reading
from processor.ocpp2x.message_numbers import Verdict, verdict, with_message
from processor.ocpp2x.transaction_end import MISSING_START
from processor.ocpp2x.transaction_message import UPDATED, TransactionMessage
from processor.readings import emit_reading
from processor.step import Anomalies, Step

OUT_OF_ORDER: Final = "out_of_order"
MAX_ASKED: Final = 32
"""TransactionEvents with an idToken remembered without an answer."""


def first_heard(step: Step, message: TransactionMessage) -> EvseTransaction:
    """A transaction as its first message to come tells it."""
    transaction = EvseTransaction(id=message.transaction_id, received_at=step.received_at)
    if message.event_type == UPDATED:
        transaction = replace(transaction, id_tag=message.id_tag)
    return noted(transaction, message)


def judged(transaction: EvseTransaction, message: TransactionMessage) -> Verdict:
    """Whether the transaction's message is `new`, was sent before (`again`) or `reused` a number.

    Where only the number is known, it is a repetition unless it tells something that is news:
    charge points that lose power may count from 0 again within a transaction.
    """
    seen = verdict(transaction.seen, message.number, message.mark)
    if seen != "old":
        return seen
    newest = transaction.reading_time
    is_news = (
        (transaction.id_tag is None and message.id_tag is not None)
        or (transaction.evse_id == NO_EVSE and message.evse_id != NO_EVSE)
        or any(
            reading.timestamp is not None and (newest is None or reading.timestamp > newest)
            for reading in message.readings
        )
    )
    return "reused" if is_news else "again"


def noted(transaction: EvseTransaction, message: TransactionMessage) -> EvseTransaction:
    """The transaction with one more message, and with its place if that is told only now.

    OCPP names the EVSE in the first message after it is known, and only there (E01.FR.16).
    """
    found = set()
    if judged(transaction, message) == "reused":
        found.add("seq_no_reused")
    evse_id, connector_id = transaction.evse_id, transaction.connector_id
    if message.evse_id not in {NO_EVSE, evse_id}:
        if evse_id == NO_EVSE:
            evse_id = message.evse_id
        else:
            found.add("evse_mismatch")
    elif message.connector_id is not None and connector_id not in {None, message.connector_id}:
        found.add("evse_mismatch")
    if connector_id is None and message.evse_id == evse_id:
        connector_id = message.connector_id
    for code in found:
        tell(message, code)
    return replace(
        transaction,
        seen=with_message(transaction.seen, message.number, message.mark),
        evse_id=evse_id,
        connector_id=connector_id,
        anomalies=with_codes(transaction.anomalies, found),
    )


def read_live(
    step: Step, message: TransactionMessage, transaction: EvseTransaction
) -> EvseTransaction:
    """The transaction after the readings of an Updated; their events."""
    if not transaction.started:
        tell(message, MISSING_START)
    for reading in message.readings:
        transaction = with_reading(transaction, reading)
    emit_readings(step, message, transaction)
    keep_last(step, transaction.evse_id, message.readings)
    return transaction


def emit_readings(step: Step, message: TransactionMessage, transaction: EvseTransaction) -> None:
    """The events of the message's readings."""
    for reading in message.readings:
        emit_reading(
            step, reading, transaction.id, transaction.connector_id, transaction.evse_id or None
        )


def ask(step: Step, message: TransactionMessage) -> None:
    """Remember whose idToken the answer will be about."""
    message_id = step.frame.message_id
    if message.id_tag is None or message_id is None:
        return
    asked = {key: old for key, old in step.charge_point.asked.items() if key != message_id}
    asked[message_id] = message.transaction_id
    if len(asked) > MAX_ASKED:
        del asked[next(iter(asked))]
    step.charge_point = replace(step.charge_point, asked=asked)


def tell(message: TransactionMessage, code: str) -> None:
    """Let every event of the message have the anomaly."""
    message.found.add(code)
    for reading in message.readings:
        reading.found.add(code)


def with_codes(anomalies: tuple[str, ...], found: Anomalies) -> tuple[str, ...]:
    """The anomalies and more."""
    return tuple(sorted({*anomalies, *found})) if found else anomalies
