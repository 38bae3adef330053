"""The demo's verdict: whatever disagrees is found, and what agrees is not blamed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from devstack.simulator import Record, Session, plan
from devstack.verdict import (
    MqttMessage,
    Outcome,
    Totals,
    disagreements,
    expected_events,
    expected_messages,
    totals,
)
from schemas.event_json import to_json
from schemas.events import (
    BusinessEvent,
    Completed,
    MeterReading,
    Payload,
    SessionCost,
    Started,
    StatusChanged,
)
from schemas.frames import OcppFrame
from schemas.mqtt import event_topic

START = datetime(2023, 12, 7, 10, 15, 30, tzinfo=UTC)
SESSION = Session(
    client_id="garage/1",
    connector_id=1,
    id_tag="user123",
    transaction_id=123456,
    meter_start=1000,
    meter_stop=25000,
    start_time=START,
    stop_time=START + timedelta(minutes=90),
)
RECORD = Record("garage/1", frames=2, meter_values=1, status_changes=1, sessions=[SESSION])
START_US = int(START.timestamp()) * 1_000_000
STOP_US = START_US + 90 * 60 * 1_000_000

COMPLETED = Completed(
    transaction_id=123456,
    connector_id=1,
    id_tag="user123",
    meter_start=1000,
    meter_stop=25000,
    start_time=START_US,
    stop_time=STOP_US,
    energy_used=24.0,
    duration=90.0,
    reason="Local",
    status="completed",
)
COST = SessionCost(
    transaction_id=123456,
    connector_id=1,
    id_tag="user123",
    start_time=START_US,
    end_time=STOP_US,
    energy_consumed=24.0,
    duration=90.0,
    estimated_cost=Decimal("2.880000"),  # as Avro's decimal gives it
    currency="USD",
    pricing_model="energy_based",
    energy_rate=Decimal("0.12"),
    time_rate=Decimal(0),
)
PAYLOADS: dict[str, Payload] = {
    "status_changed": StatusChanged(
        connector_id=1,
        status="Charging",
        previous_status="Unknown",
        transaction_id=None,
        error_code="NoError",
    ),
    "started": Started(
        transaction_id=123456,
        connector_id=1,
        id_tag="user123",
        meter_start=1000,
        start_time=START_US,
        status="started",
    ),
    "meter_reading": MeterReading(
        transaction_id=123456,
        connector_id=1,
        timestamp=START_US,
        measurands={},
        current_power=None,
        total_energy=None,
    ),
    "completed": COMPLETED,
    "session_cost": COST,
}


def outcome_of(events: Sequence[BusinessEvent]) -> Outcome:
    frames = [
        OcppFrame(
            client_id="garage/1",
            received_at_ns=number,
            direction="inbound",
            protocol="ocpp1.6",
            kind="CALL",
            message_id=str(number),
            action="Heartbeat",
            raw=b"[]",
            connection_id="c",
        )
        for number in range(2)
    ]
    messages = [
        MqttMessage("ocpp/messages/garage%2F1/Heartbeat", b"{}"),
        MqttMessage("ocpp/responses/garage%2F1/Heartbeat", b"{}"),
        *(MqttMessage(event_topic(e.event_type, e.client_id), to_json(e)) for e in events),
    ]
    return Outcome(frames, events, messages)


def events_with(**changed: Payload) -> list[BusinessEvent]:
    return [
        BusinessEvent(
            timestamp=START_US,
            client_id="garage/1",
            event_type=event_type,  # type: ignore[arg-type]  # the keys are the event types
            event_id=f"{event_type}_1",
            payload=payload,
        )
        for event_type, payload in {**PAYLOADS, **changed}.items()
    ]


GOOD = outcome_of(events_with())


def test_what_agrees_is_not_blamed_and_summed() -> None:
    assert disagreements([RECORD], GOOD) == []
    assert expected_events(RECORD).total() == 5
    assert expected_messages([RECORD]) == len(GOOD.messages) == 7
    summary = totals([RECORD], GOOD)
    assert summary == Totals(1, 2, 5, 7, 1, Decimal(24), Decimal("2.88"), "USD")
    assert str(summary.cost) == "2.88"


def twice(events: list[BusinessEvent]) -> list[BusinessEvent]:
    return [*events, events[-1]]


CASES: dict[str, tuple[Outcome, str]] = {
    "a frame is missing": (
        replace(GOOD, frames=GOOD.frames[:1]),
        "exchanged 2 messages, Kafka has 1 frames",
    ),
    "a frame is flagged": (
        replace(GOOD, frames=[msgspec.structs.replace(f, violation="bad") for f in GOOD.frames]),
        "frame 0 of garage/1 is flagged: bad",
    ),
    "an event is missing": (outcome_of(events_with()[1:]), "expected 1 status_changed events"),
    "an event came twice": (
        outcome_of(twice(events_with())),
        "1 completed and 2 session_cost events",
    ),
    "an event has an anomaly": (
        outcome_of([msgspec.structs.replace(e, anomalies=("late",)) for e in events_with()]),
        "event started_1 of garage/1 has anomalies: late",
    ),
    "energy is wrong": (
        outcome_of(events_with(completed=msgspec.structs.replace(COMPLETED, energy_used=24.001))),
        "session 123456 of garage/1: energyUsed is 24.001, the charge point says 24.0",
    ),
    "the stop time is wrong": (
        outcome_of(events_with(completed=msgspec.structs.replace(COMPLETED, stop_time=0))),
        "stopTime is 0",
    ),
    "the EVSE is wrong": (
        outcome_of(events_with(completed=msgspec.structs.replace(COMPLETED, evse_id=1))),
        "evseId is 1, the charge point says None",
    ),
    "the session has another id": (
        outcome_of(events_with(completed=msgspec.structs.replace(COMPLETED, transaction_id=7))),
        "0 completed and 1 session_cost events",
    ),
    "the cost is wrong": (
        outcome_of(
            events_with(session_cost=msgspec.structs.replace(COST, estimated_cost=Decimal("2.87")))
        ),
        "estimatedCost is 2.87, the charge point says 2.88",
    ),
    "a protocol message was lost": (
        replace(GOOD, messages=GOOD.messages[1:]),
        "1 came over MQTT under ocpp/",
    ),
    "an event was lost on the way to MQTT": (
        replace(GOOD, messages=GOOD.messages[:-1]),
        "the 4 MQTT messages under csms/ are not the 5 events on Kafka",
    ),
    "an event changed on the way to MQTT": (
        replace(
            GOOD,
            messages=[
                m._replace(payload=m.payload.replace(b"2.88", b"2.880")) for m in GOOD.messages
            ],
        ),
        "the 5 MQTT messages under csms/ are not the 5 events on Kafka",
    ),
    "events changed places on the way to MQTT": (
        replace(GOOD, messages=[*GOOD.messages[:-2], GOOD.messages[-1], GOOD.messages[-2]]),
        "are not the 5 events on Kafka, in their order",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_disagrees_is_named(case: str) -> None:
    outcome, sentence = CASES[case]
    found = disagreements([RECORD], outcome)
    assert any(sentence in problem for problem in found), found


def test_time_rates_and_fees_are_part_of_the_price() -> None:
    cost = msgspec.structs.replace(
        COST,
        time_rate=Decimal("0.05"),
        session_fee=Decimal("0.5"),
        estimated_cost=Decimal("7.88"),
    )
    assert disagreements([RECORD], outcome_of(events_with(session_cost=cost))) == []


def test_other_topics_have_no_charge_point() -> None:
    assert MqttMessage("ocpp/status", b"").client_id == ""


def test_a_plan_depends_on_seed_and_identity_alone() -> None:
    assert plan(1, "a") == plan(1, "a")
    assert plan(1, "a") != plan(2, "a")
    assert plan(1, "a") != plan(1, "b")
    for session in plan(1, "a", places=3):
        registers = [session.meter_start, *(sample.register for sample in session.samples)]
        assert registers == sorted(set(registers))
    assert [session.place for session in plan(1, "a", places=3)] == [1, 2, 3]


def test_prices_are_rounded_to_the_currency_s_minor_unit() -> None:
    cost = msgspec.structs.replace(
        COST, currency="JPY", energy_rate=Decimal("20.02"), estimated_cost=Decimal(480)
    )
    outcome = outcome_of(events_with(session_cost=cost))
    assert disagreements([RECORD], outcome) == []
    assert str(totals([RECORD], outcome).cost) == "480"


def test_nothing_that_came_out_is_summed_too() -> None:
    nothing = Totals(1, 0, 0, 0, 0, Decimal(0), Decimal(0), "")
    assert totals([RECORD], Outcome([], [], [])) == nothing
