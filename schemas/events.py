"""`BusinessEvent` and its five payloads; the record value of `csms.events`.

Field names and order are those of the MQTT contract. Times are Unix microseconds, energy of
registers is Wh, derived energy kWh, duration minutes, money Decimal. None: not known.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec

EventType: TypeAlias = Literal[
    "started", "completed", "meter_reading", "status_changed", "session_cost"
]
TransactionId: TypeAlias = int | str | None
"""OCPP 1.6: a positive integer. OCPP 2.0.1 and 2.1: a string. None: no transaction, or unknown."""

UNKNOWN_STATUS: Final = "Unknown"
"""`previousStatus` of a connector's first status."""


class _Payload(
    msgspec.Struct, kw_only=True, frozen=True, rename="camel", omit_defaults=True, gc=False
):
    """Fields without a default are always written, null included; those with one only if set."""


class Started(_Payload, frozen=True):
    """A session opened.

    In OCPP 1.6 with the StartTransaction result that assigned its id (§4.8), from 2.0.1 on with the
    TransactionEvent Started (Part 2, E).
    """

    transaction_id: TransactionId
    connector_id: int | None
    id_tag: str | None
    meter_start: int | None
    start_time: int | None
    status: str
    evse_id: int | None = None


class Completed(_Payload, frozen=True):
    """A session ended (OCPP 1.6 §4.10; from 2.0.1 on TransactionEvent Ended).

    `status` is `completed` or `abandoned`.
    """

    transaction_id: TransactionId
    connector_id: int | None
    id_tag: str | None
    meter_start: int | None
    meter_stop: int | None
    start_time: int | None
    stop_time: int | None
    energy_used: float | None
    duration: float | None
    reason: str | None
    status: str
    evse_id: int | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One sampled value in business units (kWh, kW, …)."""

    value: float | None
    unit: str | None
    context: str | None


class MeterReading(_Payload, frozen=True):
    """One meterValue element (OCPP 1.6 §4.7): measurands by name, with phase where there is one."""

    transaction_id: TransactionId
    connector_id: int | None
    timestamp: int | None
    measurands: dict[str, Measurement]
    current_power: float | None
    total_energy: float | None
    evse_id: int | None = None


class StatusChanged(_Payload, frozen=True):
    """A connector's status or error code changed (OCPP 1.6 §4.9)."""

    connector_id: int | None
    status: str
    previous_status: str
    transaction_id: TransactionId
    error_code: str | None
    evse_id: int | None = None


class SessionCost(_Payload, frozen=True):
    """What a completed session costs under the tariff in force when it started.

    estimatedCost = energyConsumed x energyRate + duration x timeRate + sessionFee, rounded half up
    to the currency's minor unit.
    """

    transaction_id: TransactionId
    connector_id: int | None
    id_tag: str | None
    start_time: int | None
    end_time: int | None
    energy_consumed: float | None
    duration: float | None
    estimated_cost: Decimal
    currency: str
    pricing_model: str
    energy_rate: Decimal
    time_rate: Decimal
    session_fee: Decimal | None = None
    evse_id: int | None = None


Payload: TypeAlias = Started | Completed | MeterReading | StatusChanged | SessionCost

PAYLOAD_TYPES: Final[dict[str, type[Payload]]] = {
    "started": Started,
    "completed": Completed,
    "meter_reading": MeterReading,
    "status_changed": StatusChanged,
    "session_cost": SessionCost,
}


class BusinessEvent(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """The envelope. `anomalies` is empty, and then not written to MQTT, for clean input."""

    timestamp: int
    client_id: str
    event_type: EventType
    event_id: str
    payload: Payload
    anomalies: tuple[str, ...] = ()
