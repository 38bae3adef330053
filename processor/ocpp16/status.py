"""StatusNotification (OCPP 1.6 §4.9) → status_changed."""

from msgspec.structs import replace

from processor.fields import connector_id, needed_text, payload_of, text
from processor.step import Step
from schemas.events import StatusChanged


def status_notified(step: Step) -> None:
    """A changed status or error code is an event; the same ones again are none.

    Sessions never touch the status, nor the status a session: charge points report both.
    """
    payload = payload_of(step.frame, 3)
    found = step.anomalies()
    connector = connector_id(step.frame, payload, found)
    status = needed_text(step.frame, payload, "status")
    error_code = text(payload.get("errorCode"), found)
    row = step.connector(connector)
    if status == row.status and error_code == row.error_code:
        return
    opened = row.transaction
    step.emit(
        "status_changed",
        StatusChanged(
            connector_id=connector,
            status=status,
            previous_status=row.status,
            transaction_id=None if opened is None else opened.ids[0],
            error_code=error_code,
        ),
        found,
    )
    step.put_connector(connector, replace(row, status=status, error_code=error_code))
