"""Tariffs: what a session costs. The file's form is in docs/tariffs.md."""

import tomllib
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from processor.currencies import CODES, minor_digits
from processor.fields import micros_of
from schemas.errors import ChargelogError

RATE_DIGITS: Final = 6
_SCALE: Final = 10**RATE_DIGITS
_RATE_LIMIT: Final = Decimal(1_000_000)
_COST_LIMIT: Final = Decimal(10**12)  # what the event's schema holds: 18 digits, 6 of them decimals
_WH_PER_KWH: Final = 1000
_MICROS_PER_MINUTE: Final = 60_000_000


class TariffError(ChargelogError):
    """A tariff file says something that is no tariff."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One price.

    Attributes:
        energy_rate: Per kWh.
        time_rate: Per minute of the session.
        session_fee: Once per session.
        currency: ISO 4217.
        valid_from: Unix microseconds of the first session start it applies to, or None.
        valid_to: Unix microseconds of the first session start it no longer applies to, or None.
        charge_points: Glob patterns of identities; empty: all.
        connectors: Connector numbers; empty: all.
    """

    energy_rate: Decimal = Decimal(0)
    time_rate: Decimal = Decimal(0)
    session_fee: Decimal = Decimal(0)
    currency: str
    valid_from: int | None = None
    valid_to: int | None = None
    charge_points: tuple[str, ...] = ()
    connectors: tuple[int, ...] = ()

    @property
    def pricing_model(self) -> str:
        """`energy_based`, `time_based` or `energy_and_time_based`."""
        if not self.time_rate:
            return "energy_based"
        return "energy_and_time_based" if self.energy_rate else "time_based"

    def applies(self, client_id: str, connector_id: int, at: int) -> bool:
        """Whether a session that started there at that time (Unix microseconds) has this price."""
        return (
            (self.valid_from is None or self.valid_from <= at)
            and (self.valid_to is None or at < self.valid_to)
            and (not self.connectors or connector_id in self.connectors)
            and (
                not self.charge_points
                or any(fnmatchcase(client_id, pattern) for pattern in self.charge_points)
            )
        )

    def cost(self, wh: int | None, micros: int | None) -> Decimal | None:
        """The price of so much energy and time, rounded half up to the currency's minor unit.

        Args:
            wh: Wh used, or None if unknown.
            micros: The session's length in microseconds, or None if unknown.

        Returns:
            None if what the tariff charges for is unknown, or the price is beyond all reason.
        """
        if (wh is None and self.energy_rate) or (micros is None and self.time_rate):
            return None
        # All in whole millionths of the currency, times minutes in microseconds: nothing is
        # rounded before the last line.
        total = (
            int(self.energy_rate * _SCALE) * (wh or 0) * (_MICROS_PER_MINUTE // _WH_PER_KWH)
            + int(self.time_rate * _SCALE) * (micros or 0)
            + int(self.session_fee * _SCALE) * _MICROS_PER_MINUTE
        )
        digits = minor_digits(self.currency)
        unit = _MICROS_PER_MINUTE * 10 ** (RATE_DIGITS - digits)
        cost = Decimal((2 * total + unit) // (2 * unit)).scaleb(-digits)
        return cost if cost < _COST_LIMIT else None


DEFAULT_TARIFF: Final = Tariff(energy_rate=Decimal("0.12"), currency="USD")


class Tariffs(msgspec.Struct, frozen=True):
    """Prices in the order in which they are tried; the first that applies counts."""

    entries: tuple[Tariff, ...] = (DEFAULT_TARIFF,)

    def at(self, client_id: str, connector_id: int, at: int) -> Tariff | None:
        """The price of a session that started there at that time (Unix microseconds), or None."""
        for tariff in self.entries:
            if tariff.applies(client_id, connector_id, at):
                return tariff
        return None

    @classmethod
    def load(cls, path: Path | str) -> "Tariffs":
        """Read a TOML file.

        Raises:
            TariffError: It can't be read or says something that is no tariff.
        """
        try:
            content = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TariffError(f"the tariff file {str(path)!r} can't be read: {error}") from error
        try:
            return cls.parse(content)
        except TariffError as error:
            raise TariffError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, content: str) -> "Tariffs":
        """Read TOML text.

        Raises:
            TariffError: It is no TOML, or says something that is no tariff.
        """
        try:
            document = tomllib.loads(content, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise TariffError(f"no TOML: {error}") from error
        unknown = sorted(set(document) - {"tariff"})
        if unknown:
            raise TariffError(f"unknown name {unknown[0]!r}; the file holds [[tariff]] entries")
        entries = document.get("tariff")
        if not isinstance(entries, list) or not entries:
            raise TariffError("no [[tariff]] entry; without a tariff leave the file away")
        return cls(tuple(_entry(entry, number) for number, entry in enumerate(entries, 1)))


def _entry(entry: object, number: int) -> Tariff:
    where = f"tariff {number}"
    if not isinstance(entry, dict):
        raise TariffError(f"{where}: expected a table; write [[tariff]] above its settings")
    unknown = sorted(set(entry) - set(Tariff.__struct_fields__))
    if unknown:
        known = ", ".join(Tariff.__struct_fields__)
        raise TariffError(f"{where}: unknown setting {unknown[0]!r}; there are {known}")
    valid_from = _time(entry, "valid_from", where)
    valid_to = _time(entry, "valid_to", where)
    if valid_from is not None and valid_to is not None and valid_from >= valid_to:
        raise TariffError(f"{where}: valid_to must be later than valid_from")
    if not {"energy_rate", "time_rate", "session_fee"} & set(entry):
        raise TariffError(
            f"{where}: nothing is charged; set energy_rate, time_rate or session_fee (0 for free)"
        )
    return Tariff(
        energy_rate=_rate(entry, "energy_rate", where),
        time_rate=_rate(entry, "time_rate", where),
        session_fee=_rate(entry, "session_fee", where),
        currency=_currency(entry, where),
        valid_from=valid_from,
        valid_to=valid_to,
        charge_points=_patterns(entry, where),
        connectors=_connectors(entry, where),
    )


def _rate(entry: dict[str, Any], name: str, where: str) -> Decimal:
    value = entry.get(name, 0)
    if type(value) is int:
        value = Decimal(value)
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or not 0 <= value < _RATE_LIMIT
        or value != round(value, RATE_DIGITS)
    ):
        raise TariffError(
            f"{where}: {name} is {_shown(value)}; expected a number from 0 to below "
            f"{_RATE_LIMIT} with at most {RATE_DIGITS} decimals"
        )
    return value


def _currency(entry: dict[str, Any], where: str) -> str:
    value = entry.get("currency")
    if not isinstance(value, str) or value not in CODES:
        raise TariffError(
            f"{where}: currency is {_shown(value)}; expected an ISO 4217 code such as EUR"
        )
    return value


def _time(entry: dict[str, Any], name: str, where: str) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TariffError(
            f"{where}: {name} is {_shown(value)}; expected a date-time with zone, unquoted, "
            "such as 2026-01-01T00:00:00Z"
        )
    return micros_of(value)


def _patterns(entry: dict[str, Any], where: str) -> tuple[str, ...]:
    value = entry.get("charge_points", [])
    if (
        not isinstance(value, list)
        or ("charge_points" in entry and not value)
        or not all(isinstance(pattern, str) and pattern for pattern in value)
    ):
        raise TariffError(
            f"{where}: charge_points is {_shown(value)}; expected a list of identities or "
            'patterns such as ["depot-*"], or leave it out for all'
        )
    return tuple(value)


def _connectors(entry: dict[str, Any], where: str) -> tuple[int, ...]:
    value = entry.get("connectors", [])
    if (
        not isinstance(value, list)
        or ("connectors" in entry and not value)
        or not all(type(connector) is int and connector > 0 for connector in value)
    ):
        raise TariffError(
            f"{where}: connectors is {_shown(value)}; expected a list of numbers from 1, such as "
            "[1, 2], or leave it out for all"
        )
    return tuple(value)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)
