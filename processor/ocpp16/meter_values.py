"""MeterValues (OCPP 1.6 §4.7) and transactionData (§4.10) → meter_reading."""

from hashlib import blake2b
from reprlib import repr as shown
from typing import Any, Final

import orjson
from msgspec.structs import replace

from processor.fields import (
    SCHEMA_VIOLATION,
    IndigestibleFrameError,
    connector_id,
    integer,
    payload_of,
)
from processor.measurands import (
    UnreadableSampleError,
    read_sample,
)
from processor.readings import Reading, emit_reading, read_reading
from processor.state import ConnectorRow, Transaction
from processor.step import Step

BACKWARDS: Final = "register_backwards"
INVALID_ID: Final = "invalid_transaction_id"
MAX_REMEMBERED: Final = 8
"""MeterValues by which a repetition is known. It may come late: a record that Kafka did not confirm
in time is sent on by the ingress that took it, while the charge point goes on with another one."""


def meter_values_sent(step: Step) -> None:
    """One event for each element, and none for a message that came lately.

    Raises:
        IndigestibleFrameError: No connectorId, or an element can't be read.
    """
    payload = payload_of(step.frame, 3)
    found = step.anomalies()
    connector = connector_id(step.frame, payload, found)
    row = step.connector(connector)
    transaction_id, belongs = _attributed(payload, row.transaction, found)
    meter_values = payload.get("meterValue")
    if type(meter_values) is not list:
        raise IndigestibleFrameError(
            f"MeterValues of {step.frame.client_id!r}: meterValue is "
            f"{shown(meter_values):.40}; a list is needed"
        )
    try:
        elements = [
            read_reading(meter_value, read_sample, set(found)) for meter_value in meter_values
        ]
    except UnreadableSampleError as error:
        raise IndigestibleFrameError(f"MeterValues of {step.frame.client_id!r}: {error}") from error
    digest = _digest([transaction_id, payload], elements)
    if digest in row.last_values:
        return
    for element in elements:
        row = _remembered(row, element, belongs=belongs)
        emit_reading(step, element, transaction_id, connector)
    if elements:
        if digest is not None:
            row = replace(row, last_values=(*row.last_values[1 - MAX_REMEMBERED :], digest))
        step.put_connector(connector, row)


def _digest(content: list[Any], elements: list[Reading]) -> int | None:
    """By which the same message sent again is known; None: it can't be told from a new one.

    Without a real time in every element two measurements may well be written alike.
    """
    if not elements or any(element.timestamp is None for element in elements):
        return None
    try:
        written = orjson.dumps(content)
    except orjson.JSONEncodeError:  # orjson reads 1,024 levels and writes 254
        return None
    return int.from_bytes(blake2b(written, digest_size=8).digest(), "big")


def _attributed(
    payload: dict[str, Any], opened: Transaction | None, found: set[str]
) -> tuple[int | None, bool]:
    """The transactionId for the event, and whether the values are the open session's."""
    open_id = None if opened is None else opened.ids[0]
    named_id = payload.get("transactionId")
    if named_id is None:
        return open_id, opened is not None
    number = integer(named_id, found)
    if number is None:
        found.add("transaction_mismatch")
        return None, False
    if number <= 0:
        found.add(INVALID_ID)
        return open_id, opened is not None
    if opened is None:
        return number, False
    if number in opened.ids:
        return open_id, True
    found.add("transaction_mismatch")
    return number, False


def _remembered(row: ConnectorRow, element: Reading, *, belongs: bool) -> ConnectorRow:
    """The row with the element as its last reading, unless a newer one is there."""
    timestamp, register, opened = element.timestamp, element.register, row.transaction
    if timestamp is None:
        timestamp = row.reading_time
    elif row.reading_time is not None and timestamp < row.reading_time:
        element.found.add("out_of_order")
        return row
    if belongs and register is not None and opened is not None:
        if opened.register is not None and register < opened.register:
            element.found.add(BACKWARDS)
        opened = replace(opened, register=register)
    return replace(
        row,
        transaction=opened,
        reading_time=timestamp,
        current_power=element.power,
        total_energy=element.energy,
    )


def read_transaction_data(
    transaction_data: object, found: set[str], violations: set[str]
) -> list[Reading]:
    """The readable elements of a StopTransaction's transactionData.

    They look back on the session, so they are compared with one another and not with the live
    values. An unreadable one must not cost the Stop: it is left out, and `found` says so.
    """
    if transaction_data is None:
        return []
    elements: list[Reading] = []
    if type(transaction_data) is not list:
        found |= {SCHEMA_VIOLATION, "transaction_data_unreadable"}
        return elements
    row = ConnectorRow()
    for meter_value in transaction_data:
        try:
            element = read_reading(meter_value, read_sample, set(violations))
        except UnreadableSampleError:
            found |= {SCHEMA_VIOLATION, "transaction_data_unreadable"}
            continue
        row = _remembered(row, element, belongs=False)
        elements.append(element)
    return elements
