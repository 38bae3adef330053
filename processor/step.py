"""One frame's way through the reducer: what it read, what it will write, what it says."""

from typing import TypeAlias, cast

from msgspec.structs import replace

from processor.fields import SCHEMA_VIOLATION
from processor.state import (
    CHARGE_POINT,
    ChargePointRow,
    ConnectorRow,
    HistoryRow,
    Row,
    Rows,
    Transaction,
    history_key,
    row_key,
)
from processor.tariff import Tariffs
from schemas.events import BusinessEvent, EventType, Payload
from schemas.frames import OcppFrame

Anomalies: TypeAlias = set[str]

_NEW_CHARGE_POINT = ChargePointRow()
_NEW_CONNECTOR = ConnectorRow()
_NEW_HISTORY = HistoryRow()


class Step:
    """Reads rows, stages changed ones, numbers events; `commit` writes what was staged.

    Attributes:
        frame: The frame.
        tariffs: Prices.
        charge_point: The charge point's row as it is to be written, but for the last eventId.
        events: Events so far.
    """

    __slots__ = (
        "_last_ns",
        "_old",
        "_rows",
        "_staged",
        "charge_point",
        "events",
        "frame",
        "tariffs",
    )

    def __init__(self, frame: OcppFrame, rows: Rows, tariffs: Tariffs) -> None:
        self.frame = frame
        self.tariffs = tariffs
        self._rows = rows
        self._staged: dict[str, Row] = {}
        self.events: list[BusinessEvent] = []
        row = rows.get(row_key(frame.client_id, CHARGE_POINT))
        self._old = _NEW_CHARGE_POINT if row is None else cast("ChargePointRow", row)
        self.charge_point = self._old
        self._last_ns = self._old.last_event_ns

    @property
    def received_at(self) -> int:
        """When the frame was received, Unix microseconds."""
        return self.frame.received_at_ns // 1000

    def anomalies(self) -> Anomalies:
        """A new set for an event of this frame."""
        return set() if self.frame.violation is None else {SCHEMA_VIOLATION}

    def connector(self, connector_id: int) -> ConnectorRow:
        """The connector's row, staged or stored; a new one if it was never heard of."""
        if connector_id == CHARGE_POINT:
            return self.charge_point.connector
        row = self.row(row_key(self.frame.client_id, connector_id))
        return _NEW_CONNECTOR if row is None else cast("ConnectorRow", row)

    def open_sessions(self, transaction_id: int) -> list[Transaction]:
        """The open sessions with the id: one, unless ids are used twice."""
        rows = (self.connector(number) for number in (CHARGE_POINT, *self.charge_point.connectors))
        return [
            row.transaction
            for row in rows
            if row.transaction is not None and transaction_id in row.transaction.ids
        ]

    def put_connector(self, connector_id: int, row: ConnectorRow) -> None:
        """Stage the connector's row."""
        if connector_id == CHARGE_POINT:
            self.charge_point = replace(self.charge_point, connector=row)
            return
        known = self.charge_point.connectors
        if connector_id not in known:
            self.charge_point = replace(
                self.charge_point, connectors=tuple(sorted((*known, connector_id)))
            )
        self._staged[row_key(self.frame.client_id, connector_id)] = row

    def put(self, key: str, row: Row) -> None:
        """Stage a row."""
        self._staged[key] = row

    def history(self) -> HistoryRow:
        """The ended sessions."""
        row = self.row(history_key(self.frame.client_id))
        return _NEW_HISTORY if row is None else cast("HistoryRow", row)

    def put_history(self, row: HistoryRow) -> None:
        """Stage the ended sessions."""
        self._staged[history_key(self.frame.client_id)] = row

    def emit(self, event_type: EventType, payload: Payload, anomalies: Anomalies) -> None:
        """Say that this happened."""
        ns = max(self.frame.received_at_ns, self._last_ns + 1)
        self._last_ns = ns
        self.events.append(
            BusinessEvent(
                timestamp=self.frame.received_at_ns // 1000,
                client_id=self.frame.client_id,
                event_type=event_type,
                event_id=f"{event_type}_{ns}",
                payload=payload,
                anomalies=tuple(sorted(anomalies)) if anomalies else (),
            )
        )

    def commit(self) -> None:
        """Write the staged rows: the last thing done, so that a frame changes all or none."""
        row = self.charge_point
        if self._last_ns != row.last_event_ns:
            row = replace(row, last_event_ns=self._last_ns)
        if row is not self._old:
            self._rows.set(row_key(self.frame.client_id, CHARGE_POINT), row)
        for key, staged in self._staged.items():
            self._rows.set(key, staged)

    def row(self, key: str) -> Row | None:
        """The row, staged or stored."""
        staged = self._staged.get(key)
        return self._rows.get(key) if staged is None else staged
