"""Sampled values of OCPP 2.0.1 and 2.1 (Part 2, MeterValueType) in business units.

They differ from OCPP 1.6 in their form: numbers instead of texts, a unit with a power of ten, a
signature beside the value instead of in its place. Names and business units are the same.
"""

import math
import re
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from reprlib import repr as shown
from typing import Final, cast

import msgspec

from processor.fields import SCHEMA_VIOLATION
from processor.measurands import (
    DEFAULT_CONTEXT,
    REGISTER,
    Sample,
    UnreadableSampleError,
    check_name,
)
from processor.readings import Reading, read_reading
from schemas.events import Measurement

# Unit on the wire → (business unit, places the decimal point moves left).
_UNITS: Final[dict[str, tuple[str, int]]] = {
    "Wh": ("kWh", 3), "varh": ("kvarh", 3), "VAh": ("kVAh", 3),
    "W": ("kW", 3), "var": ("kvar", 3), "VA": ("kVA", 3),
}  # fmt: skip
# What a measurand is measured in where the unit is left out: the longest prefix counts. OCPP names
# Wh, and that only for energy; for the others it is the base unit of the quantity.
_DEFAULT_UNITS: Final[tuple[tuple[str, str | None], ...]] = (
    ("Energy.Reactive.", "varh"),
    ("Energy.Apparent.", "VAh"),
    ("EnergyRequest.", "Wh"),
    ("Energy.", "Wh"),
    ("Power.Factor", None),
    ("Power.Reactive.", "var"),
    ("Power.", "W"),
    ("Current.", "A"),
    ("Voltage", "V"),
    ("Frequency", "Hz"),
    ("SoC", "Percent"),
)
_UPSTREAM: Final = "Upstream"  # OCPP 2.1: before the meter of this EVSE
_MAX_POWER_OF_TEN: Final = 30
_NUMBER: Final = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*")
_INT64: Final = 2**63
_SHORT: Final = 19  # digits of 2**63
_TEXT_FIELDS: Final = ("measurand", "phase", "location", "context", "unit")


def read_readings(elements: object, base: set[str]) -> list[Reading]:
    """The readings of a meterValue list; no list is none.

    Args:
        elements: The JSON value.
        base: Anomalies that each of them has.

    Raises:
        UnreadableSampleError: It is no list, or an element can't be read.
    """
    if elements is None:
        return []
    if type(elements) is not list:
        raise UnreadableSampleError(f"meterValue is {shown(elements):.40}; a list is needed")
    return [read_reading(element, read_sample, set(base)) for element in elements]


class _Shape(msgspec.Struct, frozen=True, gc=False):
    """All of a sampledValue but its value.

    Attributes:
        key: Measurand, with its phase where there is one.
        location: `Outlet` where none is given.
        context: `Sample.Periodic` where none is given.
        unit: The business unit.
        power: The power of ten from the wire's value to the business unit; None: unreadable.
        is_register: It is an active import register in kWh.
    """

    key: str
    location: str
    context: str
    unit: str | None
    power: int | None
    is_register: bool


def read_sample(sampled: object, found: set[str]) -> Sample:
    """One sampledValue; anomalies are added to `found`.

    Raises:
        UnreadableSampleError: It is no object, its unitOfMeasure is none, or a name is no text.
    """
    if type(sampled) is not dict:
        raise UnreadableSampleError(f"a sampledValue is {shown(sampled):.40}, not an object")
    get = sampled.get
    measure = get("unitOfMeasure")
    if measure is None:
        unit = multiplier = None
    elif type(measure) is dict:
        unit, multiplier = measure.get("unit"), measure.get("multiplier")
    else:
        raise UnreadableSampleError(f"unitOfMeasure is {shown(measure):.40}, not an object")
    parts = (get("measurand"), get("phase"), get("location"), get("context"), unit, multiplier)
    try:
        shape = _shape(*parts)
    except TypeError:  # a list or an object can't be looked up
        shape = _shape.__wrapped__(*parts)
    power = shape.power
    if power is None:
        found.add(SCHEMA_VIOLATION)
        digits = None
    else:
        digits = _digits(get("value"), found)
    return Sample(
        shape.key,
        shape.location,
        signed=False,
        measurement=Measurement(
            value=None if digits is None or power is None else _shifted(digits, power),
            unit=shape.unit,
            context=shape.context,
        ),
        wh=(
            _whole_wh(digits, power + 3)
            if shape.is_register and digits is not None and power is not None
            else None
        ),
    )


# A charge point sends the same few shapes for years, so each is worked out once. By type as well,
# since True and 1.0 are no multiplier and equal one.
@lru_cache(maxsize=1024, typed=True)
def _shape(*parts: object) -> _Shape:
    *texts, multiplier = parts
    for name, value in zip(_TEXT_FIELDS, texts, strict=True):
        check_name(name, value)
    measurand, phase, location, context, unit = cast("list[str | None]", texts)
    measurand = measurand or REGISTER
    if unit is None:
        unit = _default_unit(measurand)
    unit, places = (None, 0) if unit is None else _UNITS.get(unit, (unit, 0))
    power = 0 if multiplier is None else multiplier
    readable = type(power) is int and abs(power) <= _MAX_POWER_OF_TEN
    key = f"{measurand}.{phase}" if phase else measurand
    return _Shape(
        key=f"{key}.{_UPSTREAM}" if location == _UPSTREAM else key,
        location=location or "Outlet",
        context=context or DEFAULT_CONTEXT,
        unit=unit,
        power=cast("int", power) - places if readable else None,
        is_register=measurand == REGISTER and unit == "kWh",
    )


def _default_unit(measurand: str) -> str | None:
    for prefix, unit in _DEFAULT_UNITS:
        if measurand.startswith(prefix):
            return unit
    return None


def _digits(value: object, found: set[str]) -> str | None:
    """The value as decimal digits without exponent; None if it is no finite number."""
    if type(value) is int:
        return str(value)
    if type(value) is float:
        digits = repr(value)
        if "e" not in digits:
            return digits
    else:
        found.add(SCHEMA_VIOLATION)
        match = _NUMBER.fullmatch(value) if type(value) is str else None
        if match is None:
            return None
        digits = match[1]
    return format(Decimal(digits), "f") if "e" in digits.lower() else digits


def _shifted(digits: str, power: int) -> float | None:
    # The exponent is appended to the text: a multiplication would round twice.
    shifted = float(f"{digits}e{power}")
    return shifted if math.isfinite(shifted) else None


def _whole_wh(digits: str, power: int) -> int | None:
    if power == 0 and len(digits) < _SHORT and digits.isdigit():
        return int(digits)
    exact = Decimal(f"{digits}e{power}")
    if abs(exact) >= _INT64:
        return None
    return int(exact.to_integral_value(ROUND_FLOOR))
