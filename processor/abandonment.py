"""OCPP 1.6 sessions whose StopTransaction never came."""

from processor.ocpp16.history import with_abandoned
from processor.session_sums import energy_kwh
from processor.state import Transaction
from processor.step import Step
from schemas.events import Completed


def abandon(step: Step, transaction: Transaction) -> None:
    """End a session whose Stop has not come when the next one starts."""
    start = transaction.start
    found = {"missing_stop", *start.anomalies}
    step.emit(
        "completed",
        Completed(
            transaction_id=transaction.ids[0],
            connector_id=start.connector_id,
            id_tag=start.id_tag,
            meter_start=start.meter_start,
            meter_stop=transaction.register,
            start_time=start.start_time,
            stop_time=None,
            energy_used=energy_kwh(start.meter_start, transaction.register, found),
            duration=None,
            reason=None,
            status="abandoned",
        ),
        found,
    )
    step.put_history(with_abandoned(step.history(), transaction))
