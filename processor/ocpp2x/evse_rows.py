"""Finding and putting EVSEs, and their open and ended transactions, within a step."""

from typing import Final, cast

from msgspec.structs import replace

from processor.ocpp2x.evse_state import (
    NO_EVSE,
    EndedRow,
    EndedTransaction,
    EvseRow,
    EvseTransaction,
    ended_key,
    evse_key,
)
from processor.step import Step

MAX_ENDED: Final = 32
"""Ended transactions kept per EVSE."""

_NEW_EVSE: Final = EvseRow()
_NEW_ENDED: Final = EndedRow()


def evse(step: Step, evse_id: int) -> EvseRow:
    """The EVSE's row; a new one if it was never heard of."""
    row = step.row(evse_key(step.frame.client_id, evse_id))
    return _NEW_EVSE if row is None else cast("EvseRow", row)


def put_evse(step: Step, evse_id: int, row: EvseRow) -> None:
    """Stage the EVSE's row."""
    known = step.charge_point.evses
    if evse_id not in known:
        step.charge_point = replace(step.charge_point, evses=tuple(sorted((*known, evse_id))))
    step.put(evse_key(step.frame.client_id, evse_id), row)


def current(row: EvseRow) -> EvseTransaction | None:
    """What goes on at the EVSE now."""
    return row.transactions[-1] if row.transactions else None


def find_open(step: Step, transaction_id: str, evse_id: int) -> EvseTransaction | None:
    """The open transaction with the id, looked for on the EVSE first, then anywhere."""
    for number in _places(step, evse_id):
        for transaction in evse(step, number).transactions:
            if transaction.id == transaction_id:
                return transaction
    return None


def put_open(step: Step, transaction: EvseTransaction, old: EvseTransaction | None = None) -> None:
    """Stage an open transaction, in place of what it was before, which may be on no EVSE yet."""
    if old is not None and old.evse_id != transaction.evse_id:
        drop_open(step, old)
        old = None
    row = evse(step, transaction.evse_id)
    if old is not None:
        some = [transaction if other is old else other for other in row.transactions]
    else:
        some = list(row.transactions)
        place = len(some)
        while place and is_later(some[place - 1], transaction):
            place -= 1
        some.insert(place, transaction)
    put_evse(step, transaction.evse_id, replace(row, transactions=tuple(some)))


def drop_open(step: Step, transaction: EvseTransaction) -> None:
    """Stage the transaction's EVSE without it."""
    row = evse(step, transaction.evse_id)
    rest = tuple(other for other in row.transactions if other.id != transaction.id)
    put_evse(step, transaction.evse_id, replace(row, transactions=rest))


def is_later(one: EvseTransaction, other: EvseTransaction) -> bool:
    """Whether the first is known to have started after the second."""
    return (
        one.start_time is not None
        and other.start_time is not None
        and one.start_time > other.start_time
    )


def ended_with(step: Step, transaction_id: str, evse_id: int) -> list[EndedTransaction]:
    """The ended transactions with the id: of the EVSE first, of each EVSE the newest first."""
    return [
        record
        for number in _places(step, evse_id)
        for record in reversed(_ended(step, number).ended)
        if record.transaction.id == transaction_id
    ]


def put_ended(step: Step, record: EndedTransaction, old: EndedTransaction | None = None) -> None:
    """Stage an ended transaction, in place of what it was before or as the newest."""
    evse_id = record.transaction.evse_id
    if old is not None and old.transaction.evse_id != evse_id:
        rest = tuple(
            other for other in _ended(step, old.transaction.evse_id).ended if other is not old
        )
        _put_ended(step, old.transaction.evse_id, rest)
        old = None
    ended = _ended(step, evse_id).ended
    if old is not None:
        _put_ended(step, evse_id, tuple(record if other is old else other for other in ended))
    else:
        _put_ended(step, evse_id, (*ended, record)[-MAX_ENDED:])


def _ended(step: Step, evse_id: int) -> EndedRow:
    row = step.row(ended_key(step.frame.client_id, evse_id))
    return _NEW_ENDED if row is None else cast("EndedRow", row)


def _put_ended(step: Step, evse_id: int, ended: tuple[EndedTransaction, ...]) -> None:
    put_evse(step, evse_id, evse(step, evse_id))  # so that it is looked through
    step.put(ended_key(step.frame.client_id, evse_id), EndedRow(ended=ended))


def _places(step: Step, evse_id: int) -> list[int]:
    first = [evse_id] if evse_id == NO_EVSE else [evse_id, NO_EVSE]
    return [*first, *(number for number in step.charge_point.evses if number not in first)]
