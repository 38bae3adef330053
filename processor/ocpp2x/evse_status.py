"""StatusNotification and NotifyEvent (OCPP 2.0.1 and 2.1 Part 2, G01, N07) → status_changed.

A charge point may report a connector's state by either, or by both: NotifyEvent with the variable
AvailabilityState says the same, and is the only way from OCPP 2.1 on for EVSE and charge point.
"""

from typing import Any, Final

from msgspec.structs import replace

from processor.fields import IndigestibleFrameError, needed_integer, needed_text, payload_of
from processor.ocpp2x.evse_rows import current, evse, put_evse
from processor.ocpp2x.evse_state import NO_EVSE
from processor.ocpp2x.evse_values import MAX_EVSE, needed_evse_id
from processor.ocpp2x.transaction_message import MAX_CONNECTOR
from processor.step import Anomalies, Step
from schemas.events import UNKNOWN_STATUS, StatusChanged

_WHOLE_EVSE: Final = 0
_AVAILABILITY: Final = "availabilitystate"
_COMPONENTS: Final = frozenset({"connector", "evse", "chargingstation"})


def status_notified(step: Step) -> None:
    """A changed status is an event; the same one again is none.

    Raises:
        IndigestibleFrameError: No evseId, connectorId or connectorStatus.
    """
    payload = payload_of(step.frame, 3)
    found = step.anomalies()
    evse_id = needed_evse_id(step, payload, found)
    connector_id = needed_integer(step.frame, payload, "connectorId", found)
    _check_connector(step, connector_id)
    _change(step, evse_id, connector_id, needed_text(step.frame, payload, "connectorStatus"), found)


def event_notified(step: Step) -> None:
    """The same, told by the device model; whatever else a NotifyEvent says has no meaning here.

    Raises:
        IndigestibleFrameError: An AvailabilityState without place or value.
    """
    reports = payload_of(step.frame, 3).get("eventData")
    for report in reports if type(reports) is list else []:
        if type(report) is not dict or _name(report.get("variable")) != _AVAILABILITY:
            continue
        component = report.get("component")
        name = _name(component)
        if name not in _COMPONENTS:
            continue
        found = step.anomalies()
        place: Any = component.get("evse") if type(component) is dict else None
        place = place if type(place) is dict else {}
        evse_id, connector_id = NO_EVSE, _WHOLE_EVSE
        if name != "chargingstation":
            evse_id = needed_integer(step.frame, place, "id", found)
            if not NO_EVSE < evse_id <= MAX_EVSE:
                raise _indigestible(step, f"EVSE {evse_id} is not within 1 to {MAX_EVSE}")
        if name == "connector":
            connector_id = needed_integer(step.frame, place, "connectorId", found)
            _check_connector(step, connector_id)
        status = needed_text(step.frame, report, "actualValue")
        _change(step, evse_id, connector_id, status, found)


def _change(step: Step, evse_id: int, connector_id: int, status: str, found: Anomalies) -> None:
    row = evse(step, evse_id)
    previous = row.statuses.get(connector_id, UNKNOWN_STATUS)
    if status == previous:
        return
    opened = None if evse_id == NO_EVSE else current(row)
    if opened is not None and connector_id and opened.connector_id not in {None, connector_id}:
        opened = None  # it goes on at another connector of the EVSE
    step.emit(
        "status_changed",
        StatusChanged(
            connector_id=connector_id or None,
            status=status,
            previous_status=previous,
            transaction_id=None if opened is None else opened.id,
            error_code=None,
            evse_id=evse_id,
        ),
        found,
    )
    put_evse(step, evse_id, replace(row, statuses={**row.statuses, connector_id: status}))


def _check_connector(step: Step, connector_id: int) -> None:
    if not 0 <= connector_id <= MAX_CONNECTOR:
        raise _indigestible(step, f"connectorId {connector_id} is not within 0 to {MAX_CONNECTOR}")


def _name(thing: object) -> str | None:
    """The name of a component or variable; OCPP compares them without regard to case."""
    name = thing.get("name") if type(thing) is dict else None
    return name.lower() if type(name) is str else None


def _indigestible(step: Step, why: str) -> IndigestibleFrameError:
    return IndigestibleFrameError(f"{step.frame.action} of {step.frame.client_id!r}: {why}")
