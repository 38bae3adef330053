"""Sampled values (OCPP 1.6 §7.41-7.46) in business units, each under a name of its own."""

import math
import re
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from reprlib import repr as shown
from typing import Any, Final, cast

import msgspec

from processor.fields import SCHEMA_VIOLATION
from schemas.events import Measurement

REGISTER: Final = "Energy.Active.Import.Register"
POWER: Final = "Power.Active.Import"
DEFAULT_CONTEXT: Final = "Sample.Periodic"

# Unit on the wire → (business unit, places the decimal point moves left).
_UNITS: Final[dict[str, tuple[str, int]]] = {
    "Wh": ("kWh", 3),
    "varh": ("kvarh", 3),
    "W": ("kW", 3),
    "var": ("kvar", 3),
    "VA": ("kVA", 3),
    "Celcius": ("Celsius", 0),  # OCPP 1.6 allows its own misspelling
}

# What a measurand is measured in where the unit is left out. OCPP 1.6 §7.45 names Wh, and that only
# for energy; for the others it is the base unit of the quantity, where OCPP has one.
_DEFAULT_UNITS: Final[dict[str, str | None]] = {
    "Current.Export": "A",
    "Current.Import": "A",
    "Current.Offered": "A",
    "Energy.Active.Export.Register": "Wh",
    "Energy.Active.Import.Register": "Wh",
    "Energy.Reactive.Export.Register": "varh",
    "Energy.Reactive.Import.Register": "varh",
    "Energy.Active.Export.Interval": "Wh",
    "Energy.Active.Import.Interval": "Wh",
    "Energy.Reactive.Export.Interval": "varh",
    "Energy.Reactive.Import.Interval": "varh",
    "Frequency": "Hertz",
    "Power.Active.Export": "W",
    "Power.Active.Import": "W",
    "Power.Factor": None,
    "Power.Offered": "W",
    "Power.Reactive.Export": "var",
    "Power.Reactive.Import": "var",
    "RPM": None,
    "SoC": "Percent",
    "Temperature": "Celsius",
    "Voltage": "V",
}

# Of two values that differ in context only, the first in this list keeps the plain name.
_CONTEXTS: Final[dict[str, int]] = {
    name: place
    for place, name in enumerate(
        (
            "Sample.Periodic",
            "Sample.Clock",
            "Transaction.End",
            "Transaction.Begin",
            "Trigger",
            "Interruption.Begin",
            "Interruption.End",
            "Other",
        )
    )
}

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_SCIENTIFIC: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}")
_SHIFTS: Final = {0: "", 3: "e-3"}
_INT64: Final = 2**63
_LONGEST: Final = 19  # digits of 2**63
_TEXT_FIELDS: Final = ("measurand", "phase", "location", "context", "unit", "format")
# An event must not be larger than Kafka takes; names of OCPP 2.1 have up to 50 signs.
_MAX_SAMPLES: Final = 500
_MAX_NAME: Final = 64


class UnreadableSampleError(Exception):
    """A meterValue element or sampledValue is no object, or one of its names is no text."""


def element_of(value: object) -> tuple[dict[str, Any], list[Any]]:
    """A meterValue element, in any OCPP version, and its sampled values.

    Raises:
        UnreadableSampleError: It is no object with a list of sampled values, or that is too long.
    """
    sampled_values = value.get("sampledValue") if type(value) is dict else None
    if type(value) is not dict or type(sampled_values) is not list:
        raise UnreadableSampleError(
            f"a meterValue element is {shown(value):.60}, not an object with a sampledValue list"
        )
    if len(sampled_values) > _MAX_SAMPLES:
        raise UnreadableSampleError(
            f"a meterValue element has {len(sampled_values)} sampled values; "
            f"there may be {_MAX_SAMPLES}"
        )
    return value, sampled_values


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One sampledValue.

    Attributes:
        key: Measurand, with its phase where there is one.
        location: `Outlet` where none is given.
        signed: The value is SignedData, not a number.
        measurement: Value in business units, unit, context.
        wh: For active import registers the value in whole Wh, rounded down.
    """

    key: str
    location: str
    signed: bool
    measurement: Measurement
    wh: int | None


def read_sample(sampled: object, found: set[str]) -> Sample:
    """One sampledValue, converted.

    Raises:
        UnreadableSampleError: It is no object, or one of its names is no text.
    """
    if type(sampled) is not dict:
        raise UnreadableSampleError(f"a sampledValue is {shown(sampled):.40}, not an object")
    get = sampled.get
    try:
        shape = _shape(*map(get, _TEXT_FIELDS))
    except TypeError:  # a list or an object can't be looked up
        shape = _shape.__wrapped__(*map(get, _TEXT_FIELDS))
    number = None if shape.signed else _number_text(get("value"), found)
    converted = None if number is None else _shifted(number, shape.shift)
    wh = None
    if shape.is_register and converted is not None and number is not None:
        wh = _whole_wh(number, shape.shift)
    return Sample(
        shape.key,
        shape.location,
        shape.signed,
        Measurement(value=converted, unit=shape.unit, context=shape.context),
        wh,
    )


def check_name(name: str, value: object) -> None:
    """Refuse a measurand, phase or the like that can't be one; None is one that was left out.

    Raises:
        UnreadableSampleError: It is no text, or too long.
    """
    if value is not None and (type(value) is not str or len(value) > _MAX_NAME):
        raise UnreadableSampleError(
            f"{name} of a sampledValue is {shown(value):.40}, not a text of up to {_MAX_NAME} signs"
        )


class _Shape(msgspec.Struct, frozen=True, gc=False):
    """All of a sampledValue but its value."""

    key: str
    location: str
    signed: bool
    context: str
    unit: str | None
    shift: int
    is_register: bool


# A charge point sends the same few shapes for years, so each is worked out once.
@lru_cache(maxsize=1024)
def _shape(*texts: object) -> _Shape:
    for name, value in zip(_TEXT_FIELDS, texts, strict=True):
        check_name(name, value)
    measurand, phase, location, context, unit, form = cast("tuple[str | None, ...]", texts)
    measurand = measurand or REGISTER
    if unit is None:
        unit = _DEFAULT_UNITS.get(measurand)
    unit, shift = (None, 0) if unit is None else _UNITS.get(unit, (unit, 0))
    return _Shape(
        key=f"{measurand}.{phase}" if phase else measurand,
        location=location or "Outlet",
        signed=form == "SignedData",
        context=context or DEFAULT_CONTEXT,
        unit=unit,
        shift=shift,
        is_register=measurand == REGISTER and unit == "kWh",
    )


def named(samples: list[Sample], found: set[str]) -> dict[str, Sample]:
    """Every sample under a name of its own, whatever order they came in.

    The plain name (measurand and phase) belongs to the outlet; other locations are appended where
    they would collide, then contexts. Of several with the same name in full the first readable one
    stays. SignedData only stands where there is no plain value.
    """
    result = {sample.key: sample for sample in samples}
    if len(result) < len(samples):
        result = {}
        keys: dict[str, list[Sample]] = {}
        for sample in samples:
            keys.setdefault(sample.key, []).append(sample)
        for key, group in keys.items():
            result.update(_told_apart(key, group, found))
    for sample in result.values():
        if sample.measurement.value is None:
            found.add("signed_data" if sample.signed else "value_not_a_number")
    return result


def _told_apart(key: str, group: list[Sample], found: set[str]) -> dict[str, Sample]:
    plain = [sample for sample in group if not sample.signed] or group
    places: dict[str, dict[str | None, Sample]] = {}
    for sample in plain:
        contexts = places.setdefault(sample.location, {})
        context = sample.measurement.context
        first = contexts.setdefault(context, sample)
        if first.measurement.value is None and sample.measurement.value is not None:
            contexts[context] = sample
        if first.measurement != sample.measurement:
            found.add("duplicate_measurand")
    result: dict[str, Sample] = {}
    for location, contexts in places.items():
        stem = key if location == "Outlet" or len(places) == 1 else f"{key}.{location}"
        best = min(contexts, key=_context_rank)
        for context, sample in contexts.items():
            result[stem if context == best else f"{stem}.{context}"] = sample
    return result


def _context_rank(context: str | None) -> tuple[int, str]:
    name = context or ""
    return (_CONTEXTS.get(name, len(_CONTEXTS)), name)


def power_kw(measurands: dict[str, Measurement], found: set[str]) -> float | None:
    """Active power drawn: the unphased value, else the sum of the phases (power is additive)."""
    total = measurands.get(POWER)
    if total is not None:
        return _in_unit(total, "kW", found)
    for names in (("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N")):
        phases = [measurands[key] for name in names if (key := f"{POWER}.{name}") in measurands]
        if phases:
            values = [_in_unit(phase, "kW", found) for phase in phases]
            known = [Decimal(repr(value)) for value in values if value is not None]
            return float(sum(known)) if len(known) == len(values) else None
    return None


def energy_kwh(measurands: dict[str, Measurement], found: set[str]) -> float | None:
    """The unphased active import register; phases of a register need not add up to it."""
    total = measurands.get(REGISTER)
    return None if total is None else _in_unit(total, "kWh", found)


def _in_unit(measurement: Measurement, unit: str, found: set[str]) -> float | None:
    if measurement.unit == unit:
        return measurement.value
    found.add("unit_unexpected")
    return None


def _number_text(value: object, found: set[str]) -> str | None:
    """The value's digits; None if it is no finite number."""
    if type(value) is not str:
        found.add(SCHEMA_VIOLATION)
        if type(value) is not int and type(value) is not float:
            return None
        value = repr(value)
    if value.isascii() and (value.isdigit() or value.replace(".", "", 1).isdigit()):
        return value
    # Some firmware pads its numbers with blanks.
    value = value.strip()
    if _NUMBER.fullmatch(value):
        return value
    return format(Decimal(value), "f") if _SCIENTIFIC.fullmatch(value) else None


def _shifted(number: str, places: int) -> float | None:
    # The exponent is appended to the text, so that 12345.678 Wh is the double nearest to
    # 12.345678; a multiplication would round twice.
    shifted = float(number + _SHIFTS[places])
    return shifted if math.isfinite(shifted) else None


def _whole_wh(number: str, shift: int) -> int | None:
    if shift and number.isdigit():
        wh = int(number) if len(number) <= _LONGEST else _INT64
    else:
        exact = Decimal(number) if shift else Decimal(number).scaleb(3)
        if abs(exact) >= _INT64:
            return None
        wh = int(exact.to_integral_value(ROUND_FLOOR))
    return wh if -_INT64 <= wh < _INT64 else None
