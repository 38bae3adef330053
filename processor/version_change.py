"""A charge point that changes between OCPP 1.6 and OCPP 2.x: what it left open has ended.

It speaks one version at a time and changes it by a restart, and the other version has no message
that could end a session of this one.
"""

from msgspec.structs import replace

from processor.abandonment import abandon
from processor.ocpp2x.evse_rows import evse
from processor.ocpp2x.transaction_end import give_up
from processor.state import CHARGE_POINT
from processor.step import Step


def leave_16(step: Step) -> None:
    """Abandon every open session of OCPP 1.6."""
    for connector_id in (CHARGE_POINT, *step.charge_point.connectors):
        row = step.connector(connector_id)
        if row.transaction is not None:
            abandon(step, row.transaction)
            step.put_connector(connector_id, replace(row, transaction=None))


def leave_2x(step: Step) -> None:
    """Abandon every open transaction of OCPP 2.0.1 or 2.1."""
    for evse_id in step.charge_point.evses:
        for transaction in evse(step, evse_id).transactions:
            give_up(step, transaction)
