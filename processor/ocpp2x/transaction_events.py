"""TransactionEvent (OCPP 2.0.1 and 2.1 Part 2, E) → started, meter_reading, completed, cost.

The charge point itself assigns the transactionId, so a transaction is a fact once it is reported:
the request opens it, and no answer can undo it. Messages may come late, twice, out of order or not
at all; what is to be done with one depends on its type and on what is known of its transaction,
which is what the three tables at the end say.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from processor.fields import moment, payload_of
from processor.ocpp2x.evse_rows import drop_open, ended_with, find_open, put_ended, put_open
from processor.ocpp2x.evse_state import NO_EVSE, EndedTransaction, EvseTransaction
from processor.ocpp2x.message_numbers import last_number, verdict
from processor.ocpp2x.transaction_end import complete, end, give_up
from processor.ocpp2x.transaction_message import (
    ENDED,
    STARTED,
    UPDATED,
    TransactionMessage,
    read_transaction_message,
)
from processor.ocpp2x.transaction_progress import (
    OUT_OF_ORDER,
    ask,
    emit_readings,
    first_heard,
    judged,
    noted,
    read_live,
    tell,
    with_codes,
)
from processor.ocpp2x.transaction_start import (
    emit_started,
    is_same_start,
    make_room,
    open_transaction,
    with_start,
)
from processor.step import Step

_REUSED: Final = "transaction_id_reused"
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def transaction_reported(step: Step) -> None:
    """A transaction's next message, or one that was seen before.

    Raises:
        IndigestibleFrameError: It lacks what tells which message of which transaction it is.
    """
    message = read_transaction_message(step)
    opened = find_open(step, message.transaction_id, message.evse_id)
    ended: list[EndedTransaction] = []
    if opened is None or _REUSED in opened.anomalies:
        ended = ended_with(step, message.transaction_id, message.evse_id)
    # An id may have been used again: what was sent again, or is older, is an older transaction's.
    own = next((record for record in ended if _was_seen(record.transaction, message)), None)
    if opened is not None and own is None and not (ended and _is_before(message, opened)):
        _IS_OPEN[message.event_type](step, message, opened)
    elif ended:
        if own is None:
            since = (record for record in ended if not _is_before(message, record.transaction))
            own = next(since, ended[0])
        _IS_OVER[message.event_type](step, message, own)
    else:
        _IS_UNKNOWN[message.event_type](step, message)


def _was_seen(transaction: EvseTransaction, message: TransactionMessage) -> bool:
    """Whether the transaction had this very message; a clock that stands still tells nothing."""
    if moment(message.timestamp, set()) is None:
        return False
    if message.event_type == STARTED:
        return transaction.started and is_same_start(transaction, message, unless_known=False)
    return verdict(transaction.seen, message.number, message.mark) == "again"


def _is_before(message: TransactionMessage, transaction: EvseTransaction) -> bool:
    """Whether an Updated or Ended is older than the transaction."""
    time = None if message.event_type == STARTED else moment(message.timestamp, set())
    start = transaction.start_time
    return time is not None and start is not None and time < start


def transaction_answered(step: Step) -> None:
    """The central system's opinion of the idToken: it ends nothing, but the session will say it."""
    message_id = step.frame.message_id or ""
    asked = step.charge_point.asked
    transaction_id = asked.get(message_id)
    if transaction_id is None:
        return  # the answer to some other call, or there was no idToken
    rest = {key: asked[key] for key in asked if key != message_id}
    step.charge_point = replace(step.charge_point, asked=rest)
    info = payload_of(step.frame, 2).get("idTokenInfo")
    status: Any = info.get("status") if type(info) is dict else None
    opened = find_open(step, transaction_id, NO_EVSE)
    if opened is None or type(status) is not str or status == "Accepted":
        return
    code = "id_tag_" + _WORD.sub("_", status).lower()
    put_open(step, replace(opened, anomalies=with_codes(opened.anomalies, {code})), opened)


def _start(step: Step, message: TransactionMessage) -> None:
    open_transaction(step, message, first_heard(step, message), set(message.found))


def _start_again(step: Step, message: TransactionMessage, opened: EvseTransaction) -> None:
    """The Started of an open transaction: late, or sent again, or its id is used twice."""
    if not opened.started:
        transaction = noted(opened, message)
        open_transaction(step, message, transaction, {*message.found, OUT_OF_ORDER}, opened)
    elif not is_same_start(opened, message, unless_known=True):
        give_up(step, opened)
        _start_reused(step, message)


def _start_late(step: Step, message: TransactionMessage, ended: EndedTransaction) -> None:
    """The Started of a transaction that is over: late, or sent again, or its id is used twice."""
    if ended.transaction.started:
        if not is_same_start(ended.transaction, message, unless_known=False) or (
            # A clock that stands still tells nothing; the meter went on.
            ended.transaction.start_time is None
            and message.begin not in {None, ended.transaction.meter_start}
        ):
            _start_reused(step, message)
        return
    found = {*message.found, OUT_OF_ORDER}
    transaction = with_start(step, noted(ended.transaction, message), message, found)
    emit_started(step, message, transaction, found)
    put_ended(step, replace(ended, transaction=transaction), ended)
    if ended.end is not None:
        complete(step, transaction, ended.end)


def _start_reused(step: Step, message: TransactionMessage) -> None:
    open_transaction(step, message, first_heard(step, message), {*message.found, _REUSED})


def _update_unknown(step: Step, message: TransactionMessage) -> None:
    """A transaction whose Started was lost or is still to come."""
    transaction = first_heard(step, message)
    make_room(step, transaction)
    put_open(step, read_live(step, message, transaction))
    ask(step, message)


def _update(step: Step, message: TransactionMessage, opened: EvseTransaction) -> None:
    seen = judged(opened, message)
    if seen == "again":
        return
    last = last_number(opened.seen)
    if seen == "new" and message.number is not None and last is not None and message.number < last:
        tell(message, OUT_OF_ORDER)
    transaction = noted(opened, message)
    if transaction.id_tag is None:
        transaction = replace(transaction, id_tag=message.id_tag)
    if transaction.evse_id != opened.evse_id:
        make_room(step, transaction)
    put_open(step, read_live(step, message, transaction), opened)
    ask(step, message)


def _update_late(step: Step, message: TransactionMessage, ended: EndedTransaction) -> None:
    """Readings that come after the end: they are told, and do not change it.

    Whose session it was may be told by them, in time for a Started that comes even later.
    """
    transaction = ended.transaction
    if judged(transaction, message) == "again":
        return
    tell(message, OUT_OF_ORDER)
    transaction = noted(transaction, message)
    if transaction.id_tag is None:
        transaction = replace(transaction, id_tag=message.id_tag)
    emit_readings(step, message, transaction)
    put_ended(step, replace(ended, transaction=transaction), ended)


def _end_unknown(step: Step, message: TransactionMessage) -> None:
    put_ended(step, end(step, message, first_heard(step, message)))


def _end(step: Step, message: TransactionMessage, opened: EvseTransaction) -> None:
    record = end(step, message, noted(opened, message))
    drop_open(step, opened)
    put_ended(step, record)


def _end_late(step: Step, message: TransactionMessage, ended: EndedTransaction) -> None:
    """The Ended of a transaction that is over: late if it was abandoned, else sent again."""
    if ended.end is None:
        put_ended(step, end(step, message, noted(ended.transaction, message)), ended)


_Unknown: TypeAlias = Callable[[Step, TransactionMessage], None]
_Opened: TypeAlias = Callable[[Step, TransactionMessage, EvseTransaction], None]
_Over: TypeAlias = Callable[[Step, TransactionMessage, EndedTransaction], None]

_IS_UNKNOWN: Final[dict[str, _Unknown]] = {
    STARTED: _start,
    UPDATED: _update_unknown,
    ENDED: _end_unknown,
}
_IS_OPEN: Final[dict[str, _Opened]] = {
    STARTED: _start_again,
    UPDATED: _update,
    ENDED: _end,
}
_IS_OVER: Final[dict[str, _Over]] = {
    STARTED: _start_late,
    UPDATED: _update_late,
    ENDED: _end_late,
}
