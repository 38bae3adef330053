"""A meterValue element of any OCPP version, and its event."""

from collections.abc import Callable
from typing import Final

import msgspec

from processor.fields import moment
from processor.measurands import (
    REGISTER,
    Sample,
    element_of,
    energy_kwh,
    named,
    power_kw,
)
from processor.step import Step
from schemas.events import Measurement, MeterReading, TransactionId

BEGIN: Final = "Transaction.Begin"
END: Final = "Transaction.End"


class Reading(msgspec.Struct, frozen=True):
    """One meterValue element.

    Attributes:
        timestamp: Unix microseconds, or None.
        measurands: By name, in business units.
        power: kW.
        energy: kWh.
        register: The session's energy register in whole Wh, where there is one.
        begin: The register with context Transaction.Begin, where there is one.
        end: The register with context Transaction.End, where there is one.
        found: Anomalies.
    """

    timestamp: int | None
    measurands: dict[str, Measurement]
    power: float | None
    energy: float | None
    register: int | None
    begin: int | None
    end: int | None
    found: set[str]


def read_reading(
    element: object, read_sample: Callable[[object, set[str]], Sample], found: set[str]
) -> Reading:
    """One meterValue element.

    Args:
        element: The JSON value.
        read_sample: Reads a sampledValue of the OCPP version.
        found: Anomalies so far; what is found is added.

    Raises:
        UnreadableSampleError: It is no object with a list of sampled values.
    """
    fields, sampled_values = element_of(element)
    timestamp = moment(fields.get("timestamp"), found)
    samples = named([read_sample(sampled, found) for sampled in sampled_values], found)
    measurands = {key: sample.measurement for key, sample in samples.items()}
    register = samples.get(REGISTER)
    return Reading(
        timestamp,
        measurands,
        power_kw(measurands, found),
        energy_kwh(measurands, found),
        None if register is None else register.wh,
        _register_with(samples, BEGIN),
        _register_with(samples, END),
        found,
    )


def _register_with(samples: dict[str, Sample], context: str) -> int | None:
    for key in (REGISTER, f"{REGISTER}.{context}"):
        sample = samples.get(key)
        if sample is not None and sample.measurement.context == context:
            return sample.wh
    return None


def emit_reading(
    step: Step,
    reading: Reading,
    transaction_id: TransactionId,
    connector_id: int | None,
    evse_id: int | None = None,
) -> None:
    """The reading's event."""
    step.emit(
        "meter_reading",
        MeterReading(
            transaction_id=transaction_id,
            connector_id=connector_id,
            timestamp=reading.timestamp,
            measurands=reading.measurands,
            current_power=reading.power,
            total_energy=reading.energy,
            evse_id=evse_id,
        ),
        reading.found,
    )
