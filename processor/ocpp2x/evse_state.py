"""What the reducer remembers of an OCPP 2.0.1 or 2.1 charge point: two kinds of rows per EVSE.

    evse_key(client_id, n)     EvseRow    EVSE n: connector statuses, open transactions, readings
    ended_key(client_id, n)    EndedRow   its transactions that are over; touched rarely

n = 0 stands for what is on no EVSE: the charge point itself, its main meter, and transactions that
started before an EVSE was chosen (OCPP 2.0.1 Part 2, E03). Both are values like those of
`processor.state`.
"""

from typing import Final

import msgspec

from processor.ocpp2x.message_numbers import Seen
from processor.row_value import RowValue

NO_EVSE: Final = 0


class EvseTransaction(RowValue, frozen=True):
    """A transaction, as far as its messages tell.

    Attributes:
        id: The charge point's transactionId.
        seen: Which of its messages came.
        received_at: When the first of them was received, Unix microseconds.
        started: Whether the Started was among them; start_time and start_text are its own.
        start_time: Unix microseconds, or None where the charge point did not know.
        start_text: The timestamp as it was written.
        anomalies: What was wrong with its Started, and with its idToken.
        id_tag: The first idToken that one of its messages carried.
        evse_id: Where, `NO_EVSE` as long as no message said.
        connector_id: Where, or None as long as no message said.
        meter_start: Wh, the register at its begin.
        meter_end: Wh, a register that was marked as Transaction.End.
        register: Wh, the last register seen in it.
        reading_time: Unix microseconds of the newest reading.
        jumped: The register left meter_start faster than any EVSE can deliver.
    """

    id: str
    received_at: int
    seen: Seen = Seen()
    started: bool = False
    start_time: int | None = None
    start_text: str | None = None
    anomalies: tuple[str, ...] = ()
    id_tag: str | None = None
    evse_id: int = NO_EVSE
    connector_id: int | None = None
    meter_start: int | None = None
    meter_end: int | None = None
    register: int | None = None
    reading_time: int | None = None
    jumped: bool = False


class End(RowValue, frozen=True):
    """What an Ended said.

    Attributes:
        meter_stop: Wh.
        stop_time: Unix microseconds.
        reason: Why.
        id_tag: Its own idToken.
        anomalies: What was wrong with it.
    """

    meter_stop: int | None = None
    stop_time: int | None = None
    reason: str | None = None
    id_tag: str | None = None
    anomalies: tuple[str, ...] = ()


class EndedTransaction(RowValue, frozen=True):
    """A transaction that is over; without `end` it was abandoned, and its Ended may still come."""

    transaction: EvseTransaction
    end: End | None = None


class EvseRow(RowValue, frozen=True, tag="evse"):
    """One EVSE.

    Attributes:
        statuses: Of its connectors, as last reported; under 0 the EVSE's own.
        transactions: The open ones; the last one is what goes on there now.
        reading_time: Unix microseconds of the newest meter value.
        current_power: kW, of the last meter value in order.
        total_energy: kWh, of the last meter value in order.
    """

    statuses: dict[int, str] = msgspec.field(default_factory=dict)
    transactions: tuple[EvseTransaction, ...] = ()
    reading_time: int | None = None
    current_power: float | None = None
    total_energy: float | None = None


class EndedRow(RowValue, frozen=True, tag="ended"):
    """The transactions of an EVSE that are over, oldest first."""

    ended: tuple[EndedTransaction, ...] = ()


def evse_key(client_id: str, evse_id: int) -> str:
    """The table key of an EvseRow."""
    return f"evse{evse_id}|{client_id}"


def ended_key(client_id: str, evse_id: int) -> str:
    """The table key of an EndedRow."""
    return f"ended{evse_id}|{client_id}"
