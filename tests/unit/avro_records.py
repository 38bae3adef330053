"""Records for the tests of the codec: hypothesis strategies, one fixed example of each type."""

from decimal import Decimal
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import Struct

from schemas.commands import Command, CommandResult
from schemas.events import (
    BusinessEvent,
    Completed,
    EventType,
    Measurement,
    MeterReading,
    Payload,
    SessionCost,
    Started,
    StatusChanged,
)
from schemas.frames import OcppFrame
from schemas.records import DeadLetter, TransactionIdRequest

T = TypeVar("T")

_LONGS: Final = st.integers(-(2**63), 2**63 - 1)
_INTS: Final = st.integers(-(2**31), 2**31 - 1)
_DOUBLES: Final = st.floats(allow_nan=False)
_MONEY: Final = st.decimals(-(10**11), 10**11, places=6, allow_nan=False, allow_infinity=False)


def _or_none(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    return st.none() | strategy


_SESSION: Final[dict[str, SearchStrategy[Any]]] = {
    "transaction_id": st.none() | _LONGS | st.text(max_size=36),
    "connector_id": _or_none(_INTS),
    "evse_id": _or_none(_INTS),
}
_ID_TAG: Final = _or_none(st.text(max_size=20))

FRAMES: Final = st.builds(
    OcppFrame,
    client_id=st.text(),
    received_at_ns=_LONGS,
    direction=st.sampled_from(["inbound", "outbound"]),
    protocol=st.sampled_from(["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]),
    kind=st.sampled_from(["CALL", "CALLRESULT", "CALLERROR", "SEND", "CALLRESULTERROR", "INVALID"]),
    message_id=_or_none(st.text(max_size=36)),
    action=_or_none(st.text(max_size=20)),
    raw=st.binary(),
    violation=_or_none(st.text()),
    connection_id=st.text(),
)
DEAD_LETTERS: Final = st.builds(
    DeadLetter,
    stage=st.sampled_from(["processor", "egress"]),
    topic=st.text(),
    partition=_INTS,
    offset=_LONGS,
    client_id=_or_none(st.text()),
    reason=st.text(),
    traceback_hash=_or_none(st.text()),
)
TRANSACTION_ID_REQUESTS: Final = st.builds(
    TransactionIdRequest,
    client_id=st.text(),
    connector_id=_LONGS,
    id_tag=st.text(),
    meter_start=_LONGS,
    timestamp=st.text(),
)
COMMANDS: Final = st.builds(
    Command,
    command_id=st.text(max_size=36),
    client_id=st.text(),
    action=st.text(),
    payload=st.text(),
    issued_at=_LONGS,
    expires_at=_LONGS,
)
COMMAND_RESULTS: Final = st.builds(
    CommandResult,
    command_id=st.text(max_size=36),
    client_id=st.text(),
    outcome=st.sampled_from(["sent", "result", "error", "timeout", "expired", "rejected"]),
    instance=st.text(),
    at=_LONGS,
    payload=_or_none(st.text()),
    error_code=_or_none(st.text()),
    description=_or_none(st.text()),
)

_PAYLOADS: Final[dict[EventType, SearchStrategy[Payload]]] = {
    "started": st.builds(
        Started,
        **_SESSION,
        id_tag=_ID_TAG,
        meter_start=_or_none(_LONGS),
        start_time=_or_none(_LONGS),
        status=st.text(),
    ),
    "completed": st.builds(
        Completed,
        **_SESSION,
        id_tag=_ID_TAG,
        meter_start=_or_none(_LONGS),
        meter_stop=_or_none(_LONGS),
        start_time=_or_none(_LONGS),
        stop_time=_or_none(_LONGS),
        energy_used=_or_none(_DOUBLES),
        duration=_or_none(_DOUBLES),
        reason=_or_none(st.text()),
        status=st.text(),
    ),
    "meter_reading": st.builds(
        MeterReading,
        **_SESSION,
        timestamp=_or_none(_LONGS),
        measurands=st.dictionaries(
            st.text(),
            st.builds(
                Measurement,
                value=_or_none(_DOUBLES),
                unit=_or_none(st.text()),
                context=_or_none(st.text()),
            ),
            max_size=4,
        ),
        current_power=_or_none(_DOUBLES),
        total_energy=_or_none(_DOUBLES),
    ),
    "status_changed": st.builds(
        StatusChanged,
        **_SESSION,
        status=st.text(),
        previous_status=st.text(),
        error_code=_or_none(st.text()),
    ),
    "session_cost": st.builds(
        SessionCost,
        **_SESSION,
        id_tag=_ID_TAG,
        start_time=_or_none(_LONGS),
        end_time=_or_none(_LONGS),
        energy_consumed=_or_none(_DOUBLES),
        duration=_or_none(_DOUBLES),
        estimated_cost=_MONEY,
        currency=st.text(),
        pricing_model=st.text(),
        energy_rate=_MONEY,
        time_rate=_MONEY,
        session_fee=_or_none(_MONEY),
    ),
}
EVENTS: Final = st.sampled_from(list(_PAYLOADS)).flatmap(
    lambda event_type: st.builds(
        BusinessEvent,
        timestamp=_LONGS,
        client_id=st.text(),
        event_type=st.just(event_type),
        event_id=st.text(),
        payload=_PAYLOADS[event_type],
        anomalies=st.lists(st.text(), max_size=3).map(tuple),
    )
)

# 2023-12-07T10:15:30.123456Z, the first moment of the contract's example.
_START_US: Final = 1_701_944_130_123_456
_MINUTE_US: Final = 60_000_000


def _event(event_type: EventType, payload: Payload, *anomalies: str) -> BusinessEvent:
    return BusinessEvent(
        timestamp=_START_US,
        client_id="charge-point-001",
        event_type=event_type,
        event_id=f"{event_type}_1701944130123456789",
        payload=payload,
        anomalies=anomalies,
    )


FRAME: Final = OcppFrame(
    client_id="charge-point-001",
    received_at_ns=1_701_944_130_123_456_789,
    direction="inbound",
    protocol="ocpp1.6",
    kind="CALL",
    message_id="19223201",
    action="Heartbeat",
    raw='[2,"19223201","Heartbeat",{"é":"\\u0000"}]'.encode() + b"\xff",
    violation="payload: Additional properties are not allowed ('é' was unexpected)",
    connection_id="7f9c24e8",
)

EXAMPLES: Final[dict[str, Struct]] = {
    "ocpp_frame": FRAME,
    "business_event.started": _event(
        "started",
        Started(
            transaction_id=123456,
            connector_id=1,
            id_tag="user123",
            meter_start=1000,
            start_time=_START_US,
            status="started",
        ),
    ),
    "business_event.completed": _event(
        "completed",
        Completed(
            transaction_id="5b3e9e28-tx",
            connector_id=1,
            evse_id=2,
            id_tag=None,
            meter_start=1000,
            meter_stop=25000,
            start_time=_START_US,
            stop_time=_START_US + 90 * _MINUTE_US,
            energy_used=24.0,
            duration=90.0,
            reason="Local",
            status="completed",
        ),
        "id_tag_blocked",
    ),
    "business_event.meter_reading": _event(
        "meter_reading",
        MeterReading(
            transaction_id=None,
            connector_id=1,
            timestamp=_START_US,
            measurands={
                "Energy.Active.Import.Register": Measurement(
                    value=12.5, unit="kWh", context="Sample.Periodic"
                ),
                "Voltage.L1-N": Measurement(value=None, unit="V", context=None),
            },
            current_power=7.2,
            total_energy=12.5,
        ),
    ),
    "business_event.status_changed": _event(
        "status_changed",
        StatusChanged(
            connector_id=1,
            status="Charging",
            previous_status="Preparing",
            transaction_id=123456,
            error_code="NoError",
        ),
    ),
    "business_event.session_cost": _event(
        "session_cost",
        SessionCost(
            transaction_id=123456,
            connector_id=1,
            id_tag="user123",
            start_time=_START_US,
            end_time=_START_US + 90 * _MINUTE_US,
            energy_consumed=24.0,
            duration=90.0,
            estimated_cost=Decimal("2.88"),
            currency="USD",
            pricing_model="energy_based",
            energy_rate=Decimal("0.12"),
            time_rate=Decimal(0),
            session_fee=Decimal("-0.5"),
        ),
    ),
    "dead_letter": DeadLetter(
        stage="processor",
        topic="ocpp.frames",
        partition=3,
        offset=2**40,
        client_id=None,
        reason="ValueError: no digits",
        traceback_hash="0a1b2c3d",
    ),
    "transaction_id_request": TransactionIdRequest(
        client_id="charge-point-001",
        connector_id=1,
        id_tag="user123",
        meter_start=1000,
        timestamp="2023-12-07T10:15:30Z",
    ),
    "command": Command(
        command_id="0b8f1e0e-5f7d-4c6e-9a64-3f1f6f8f0a11",
        client_id="charge-point-001",
        action="RemoteStartTransaction",
        payload='{"idTag":"user123"}',
        issued_at=_START_US,
        expires_at=_START_US + _MINUTE_US,
    ),
    "command_result": CommandResult(
        command_id="0b8f1e0e-5f7d-4c6e-9a64-3f1f6f8f0a11",
        client_id="charge-point-001",
        outcome="error",
        instance="ingress-1",
        at=_START_US + 250_000,
        payload="{}",
        error_code="NotSupported",
        description=None,
    ),
}
"""By golden file: `tests/golden/avro/<name>.hex` holds the bytes of each."""
