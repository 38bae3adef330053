"""What the reducer remembers of a charge point: rows of a few kinds, one table.

A row is a value: the reducer never changes one, it sets another in its place. So whoever holds the
rows can put the old one back, and a row may be encoded at any time.

    row_key(client_id, 0)      ChargePointRow   the charge point itself
    row_key(client_id, n)      ConnectorRow     connector n
    history_key(client_id)     HistoryRow       sessions that ended; touched at a Start and a Stop
                                                only, which keeps the rows that every meter value
                                                touches small on the changelog

Those of OCPP 2.0.1 and 2.1 are in `processor.ocpp2x.evse_state`; ChargePointRow is common to all.
"""

from typing import Final, Protocol, TypeAlias

import msgspec

from processor.ocpp2x.evse_state import EndedRow, EvseRow
from processor.row_value import RowValue
from schemas.errors import ChargelogError
from schemas.events import UNKNOWN_STATUS

CHARGE_POINT: Final = 0
"""OCPP 1.6 §4.9: connector 0 is the charge point itself."""


class Start(RowValue, frozen=True):
    """What a StartTransaction.req said (OCPP 1.6 §6.45).

    Attributes:
        connector_id: Where; 0 only from a charge point that breaks the rules.
        received_at: When the request was received, Unix microseconds.
        id_tag: Who, or None where it could not be read.
        meter_start: Wh, or None where it could not be read.
        start_time: Unix microseconds, or None where the charge point did not know.
        start_text: The timestamp as it was written; equal for a retransmission.
        anomalies: What was wrong with the request.
    """

    connector_id: int
    received_at: int
    id_tag: str | None = None
    meter_start: int | None = None
    start_time: int | None = None
    start_text: str | None = None
    anomalies: tuple[str, ...] = ()


class Session(RowValue, frozen=True):
    """A session, open or over.

    Attributes:
        ids: The transactionId of its `started` event, then those of retransmitted Starts.
        start: Its StartTransaction request.
    """

    ids: tuple[int, ...]
    start: Start


class Transaction(Session, frozen=True):
    """A session whose Stop has not come.

    Attributes:
        register: The last Energy.Active.Import.Register seen in it, in whole Wh.
    """

    register: int | None = None


class StopContent(RowValue, frozen=True):
    """What makes two StopTransaction requests the same one sent twice, beside the id."""

    meter_stop: int | None = None
    stop_text: str | None = None
    id_tag: str | None = None


class ClosedTransaction(Session, frozen=True):
    """A session whose Stop came, kept so that a retransmission is known for one."""

    stop: StopContent


class OrphanStop(RowValue, frozen=True):
    """A Stop whose Start was never seen, kept so that a retransmission is known for one."""

    transaction_id: int
    stop: StopContent


class ConnectorRow(RowValue, frozen=True, tag="connector"):
    """One connector.

    Attributes:
        status: As last reported, `Unknown` at first.
        error_code: As last reported.
        transaction: The open session.
        reading_time: Unix microseconds of the newest meter value of this session (or since it).
        current_power: kW, of the last meter value in order.
        total_energy: kWh, of the last meter value in order.
        last_values: Digests of the last MeterValues whose elements all have a time, oldest first
            (OCPP 1.6).
    """

    status: str = UNKNOWN_STATUS
    error_code: str | None = None
    transaction: Transaction | None = None
    reading_time: int | None = None
    current_power: float | None = None
    total_energy: float | None = None
    last_values: tuple[int, ...] = ()


class ChargePointRow(RowValue, frozen=True, tag="chargePoint"):
    """The charge point itself.

    Attributes:
        last_event_ns: The number in the last eventId.
        connectors: The connectors that have a row, in ascending order.
        connector: Status, readings and (against the rules) session of connector 0.
        pending: StartTransaction requests without an answer yet, by messageId, oldest first.
        evses: The EVSEs that have a row, in ascending order (OCPP 2.0.1 and 2.1).
        asked: TransactionEvents with an idToken and without an answer yet: the transactionId by
            messageId, oldest first.
    """

    last_event_ns: int = 0
    connectors: tuple[int, ...] = ()
    connector: ConnectorRow = ConnectorRow()
    pending: dict[str, Start] = msgspec.field(default_factory=dict)
    evses: tuple[int, ...] = ()
    asked: dict[str, str] = msgspec.field(default_factory=dict)


class HistoryRow(RowValue, frozen=True, tag="history"):
    """Sessions that are over, oldest first, a bounded number per connector.

    Attributes:
        abandoned: Sessions that a later Start ended; their Stop may still come.
        closed: Sessions whose Stop came.
        orphans: Stops whose Start was never seen.
    """

    abandoned: tuple[Transaction, ...] = ()
    closed: tuple[ClosedTransaction, ...] = ()
    orphans: tuple[OrphanStop, ...] = ()


Row: TypeAlias = ChargePointRow | ConnectorRow | HistoryRow | EvseRow | EndedRow


class Rows(Protocol):
    """The table the reducer reads and writes."""

    def get(self, key: str) -> Row | None:
        """The row, or None if there is none yet."""

    def set(self, key: str, row: Row) -> None:
        """Put the row in place of the old one."""


class MemoryRows:
    """Rows in a dict.

    Attributes:
        rows: The rows by key.
    """

    def __init__(self, rows: dict[str, Row] | None = None) -> None:
        self.rows: dict[str, Row] = {} if rows is None else rows

    def get(self, key: str) -> Row | None:
        """The row, or None if there is none yet."""
        return self.rows.get(key)

    def set(self, key: str, row: Row) -> None:
        """Put the row in place of the old one."""
        self.rows[key] = row


class RowError(ChargelogError):
    """A stored row can't be read."""


def row_key(client_id: str, connector_id: int) -> str:
    """The table key of a connector's row; 0 is the charge point's."""
    # The number first: an identity may hold any sign, the bar included.
    return f"{connector_id}|{client_id}"


def history_key(client_id: str) -> str:
    """The table key of a charge point's HistoryRow."""
    return f"history|{client_id}"


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Row)


def encode_row(row: Row) -> bytes:
    """The row as JSON, for the changelog; equal rows give equal bytes."""
    return _ENCODER.encode(row)


def decode_row(data: bytes, key: str = "(no key given)") -> Row:
    """The row that `encode_row` wrote.

    Args:
        data: The stored JSON.
        key: The row's table key, for the message.

    Raises:
        RowError: The bytes are no row.
    """
    try:
        row: Row = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RowError(
            f"the stored row {key!r} can't be read: {error}; it starts with {data[:60]!r}. "
            "Was the changelog written by another program? Delete it to rebuild the state from "
            "the frames."
        ) from error
    return row
