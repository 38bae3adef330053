"""Readings of an EVSE and its transaction; MeterValues (OCPP 2.0.1 and 2.1 Part 2, J01)."""

from typing import Any, Final

from msgspec.structs import replace

from processor.fields import IndigestibleFrameError, needed_integer, payload_of
from processor.measurands import UnreadableSampleError
from processor.ocpp2x.evse_rows import current, evse, put_evse, put_open
from processor.ocpp2x.evse_samples import read_readings
from processor.ocpp2x.evse_state import NO_EVSE, EvseRow, EvseTransaction
from processor.ocpp16.meter_values import BACKWARDS
from processor.readings import Reading, emit_reading
from processor.session_sums import too_fast
from processor.step import Step

MAX_EVSE: Final = 10_000
NOT_BEGIN: Final = "context_not_begin"
"""The meterStart came with the Started, but its context is not Transaction.Begin."""


def with_reading(
    transaction: EvseTransaction, reading: Reading, *, live: bool = True
) -> EvseTransaction:
    """The transaction with the reading as its last one, unless a newer one is there.

    Readings that are not live look back, and some charge points give them all one time; so nothing
    is concluded from how fast their registers rise.
    """
    if reading.begin is not None and (
        transaction.meter_start is None or NOT_BEGIN in transaction.anomalies
    ):
        rest = tuple(code for code in transaction.anomalies if code != NOT_BEGIN)
        transaction = replace(transaction, meter_start=reading.begin, anomalies=rest)
    if reading.end is not None:
        transaction = replace(transaction, meter_end=reading.end)
    old_time, old = transaction.reading_time, transaction.register
    time, register = reading.timestamp, reading.register
    if time is not None and old_time is not None and time < old_time:
        reading.found.add("out_of_order")
        return transaction
    if register is not None and old is not None:
        if register < old:
            reading.found.add(BACKWARDS)
        elif live and _is_jump(register - old, time, old_time):
            reading.found.add("register_jump")
            if old == transaction.meter_start:
                transaction = replace(transaction, jumped=True)
    return replace(
        transaction,
        reading_time=old_time if time is None else time,
        register=old if register is None else register,
    )


def _is_jump(wh: int, time: int | None, old_time: int | None) -> bool:
    return time is not None and old_time is not None and too_fast(wh, time - old_time)


def with_last(row: EvseRow, reading: Reading) -> EvseRow:
    """The EVSE with the reading as its last one, unless a newer one is there."""
    time = reading.timestamp
    if time is not None and row.reading_time is not None and time < row.reading_time:
        return row
    return replace(
        row,
        reading_time=row.reading_time if time is None else time,
        current_power=reading.power,
        total_energy=reading.energy,
    )


def keep_last(step: Step, evse_id: int, readings: list[Reading], *, afresh: bool = False) -> None:
    """Remember the newest reading of the EVSE; afresh: whatever time the last one had."""
    if evse_id == NO_EVSE or not (readings or afresh):
        return
    row = evse(step, evse_id)
    if afresh:
        row = replace(row, reading_time=None)
    for reading in readings:
        row = with_last(row, reading)
    put_evse(step, evse_id, row)


def meter_values_reported(step: Step) -> None:
    """MeterValues (Part 2, J01): they belong to what goes on at the EVSE; 0 is the main meter.

    Raises:
        IndigestibleFrameError: No evseId, or an element can't be read.
    """
    payload = payload_of(step.frame, 3)
    found = step.anomalies()
    evse_id = needed_evse_id(step, payload, found)
    if payload.get("meterValue") is None:
        raise _indigestible(step, "meterValue is missing; a list is needed")
    try:
        readings = read_readings(payload["meterValue"], found)
    except UnreadableSampleError as error:
        raise _indigestible(step, str(error)) from error
    row = evse(step, evse_id)
    old = transaction = None if evse_id == NO_EVSE else current(row)
    for reading in readings:
        if transaction is not None:
            transaction = with_reading(transaction, reading)
        elif _is_older(row, reading):
            reading.found.add("out_of_order")
        row = with_last(row, reading)
        emit_reading(
            step,
            reading,
            None if transaction is None else transaction.id,
            None if transaction is None else transaction.connector_id,
            evse_id,
        )
    if readings:
        put_evse(step, evse_id, row)
    if transaction is not None:
        put_open(step, transaction, old)


def needed_evse_id(step: Step, payload: dict[str, Any], found: set[str]) -> int:
    """The frame's evseId.

    Raises:
        IndigestibleFrameError: It is missing, can't be read, or no charge point has such a one.
    """
    number = needed_integer(step.frame, payload, "evseId", found)
    if not NO_EVSE <= number <= MAX_EVSE:
        raise _indigestible(step, f"evseId {number} is not within 0 to {MAX_EVSE}")
    return number


def _is_older(row: EvseRow, reading: Reading) -> bool:
    return (
        reading.timestamp is not None
        and row.reading_time is not None
        and reading.timestamp < row.reading_time
    )


def _indigestible(step: Step, why: str) -> IndigestibleFrameError:
    return IndigestibleFrameError(f"{step.frame.action} of {step.frame.client_id!r}: {why}")
