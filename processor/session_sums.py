"""What a session used and what it costs."""

from typing import Final

from processor.ocpp16.meter_values import BACKWARDS
from processor.step import Anomalies, Step
from schemas.events import Completed, SessionCost

_MAX_WATTS: Final = 4_000_000
"""More than any connector delivers: the Megawatt Charging System ends at 3.75 MW."""
_SLACK_WH: Final = 1_000
"""Times have whole seconds, and a meter's clock need not be the charge point's."""
_HOUR_MICROS: Final = 3_600_000_000
_MAX_DURATION: Final = 366 * 24 * _HOUR_MICROS
"""Longer than any car stays: the clock was set in between, or the Stop was forgotten."""


def energy_kwh(
    meter_start: int | None, meter_stop: int | None, found: Anomalies, micros: int | None = None
) -> float | None:
    """KWh between two registers in Wh.

    None where one is unknown, where they run backwards, and where it is more than can have been
    delivered in that time: a charge point that can't read its meter yet may say that it starts at 0
    (citrineos-core#1060), and the energy of its whole life must not become one session's.
    """
    if meter_start is None or meter_stop is None:
        return None
    if meter_stop < meter_start:
        found.add(BACKWARDS)
        return None
    if micros is not None and too_fast(meter_stop - meter_start, micros):
        found.add("energy_implausible")
        return None
    return (meter_stop - meter_start) / 1000


def too_fast(wh: int, micros: int) -> bool:
    """Whether so much energy in so little time is more than can be delivered.

    No time at all says nothing: there are clocks that stand still.
    """
    return micros > 0 and wh > _SLACK_WH + _MAX_WATTS * micros // _HOUR_MICROS


def micros_between(start_time: int | None, stop_time: int | None) -> int | None:
    """Microseconds between two times; None where one is unknown or they are in the wrong order."""
    if start_time is None or stop_time is None or stop_time < start_time:
        return None
    return stop_time - start_time


def duration_minutes(
    start_time: int | None, stop_time: int | None, found: Anomalies
) -> float | None:
    """Minutes between two times.

    None where one is unknown, where they are in the wrong order, and where it is more than a year:
    a clock that was set during the session must not charge for the years since it was made.
    """
    if start_time is None or stop_time is None:
        return None
    if stop_time < start_time:
        found.add("stop_before_start")
        return None
    if stop_time - start_time > _MAX_DURATION:
        found.add("duration_implausible")
        return None
    return (stop_time - start_time) / 60_000_000


def session_cost(
    step: Step, place: int, received_at: int, completed: Completed, found: Anomalies
) -> SessionCost | None:
    """The price under the tariff in force when the session started; None where it is unknown.

    Args:
        step: The frame that ended it.
        place: What tariffs know as connector: its number, in OCPP 2.x the EVSE's.
        received_at: When its start was received, which dates a start without time.
        completed: The session.
        found: Anomalies of the events to come.
    """
    start_time = completed.start_time
    tariff = step.tariffs.at(
        step.frame.client_id, place, received_at if start_time is None else start_time
    )
    if tariff is None:
        found |= {"no_tariff", "cost_unknown"}
        return None
    wh = None
    if completed.energy_used is not None:
        wh = _difference(completed.meter_start, completed.meter_stop)
    micros = None
    if completed.duration is not None:
        micros = _difference(completed.start_time, completed.stop_time)
    cost = tariff.cost(wh, micros)
    if cost is None:
        found.add("cost_unknown")
        return None
    return SessionCost(
        transaction_id=completed.transaction_id,
        connector_id=completed.connector_id,
        id_tag=completed.id_tag,
        start_time=completed.start_time,
        end_time=completed.stop_time,
        energy_consumed=completed.energy_used,
        duration=completed.duration,
        estimated_cost=cost,
        currency=tariff.currency,
        pricing_model=tariff.pricing_model,
        energy_rate=tariff.energy_rate,
        time_rate=tariff.time_rate,
        session_fee=tariff.session_fee or None,
        evse_id=completed.evse_id,
    )


def _difference(start: int | None, stop: int | None) -> int | None:
    return None if start is None or stop is None else stop - start
