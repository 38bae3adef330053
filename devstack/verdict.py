"""Does what came out agree with what the charge points did? Pure: records in, verdict out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from devstack.simulator import Record, Session
from processor.currencies import minor_digits
from schemas.event_json import to_json
from schemas.events import BusinessEvent, Completed, SessionCost
from schemas.frames import OcppFrame
from schemas.mqtt import escape_level, event_topic

_CLIENT_LEVEL: Final = 2
_WH_PER_KWH: Final = 1000
_MICROSECONDS: Final = 1_000_000


class MqttMessage(NamedTuple):
    """A message as the subscriber received it."""

    topic: str
    payload: bytes

    @property
    def client_id(self) -> str:
        """The topic's third level: the charge point, still escaped; empty where there is none."""
        levels = self.topic.split("/")
        return levels[_CLIENT_LEVEL] if len(levels) > _CLIENT_LEVEL else ""


@dataclass(frozen=True)
class Outcome:
    """What came out of the system, of the charge points in question only.

    Attributes:
        frames: Records of the frames topic.
        events: Records of the events topic, in order per charge point.
        messages: MQTT messages, in the order of their arrival.
    """

    frames: Sequence[OcppFrame]
    events: Sequence[BusinessEvent]
    messages: Sequence[MqttMessage]


class Totals(NamedTuple):
    """The figures of the summary; money in `currency`."""

    charge_points: int
    frames: int
    events: int
    messages: int
    sessions: int
    energy_kwh: Decimal
    cost: Decimal
    currency: str


def expected_events(record: Record) -> Counter[str]:
    """How many events of each type a charge point's doings must give."""
    sessions = len(record.sessions)
    return Counter(
        started=sessions,
        completed=sessions,
        session_cost=sessions,
        meter_reading=record.meter_values,
        status_changed=record.status_changes,
    )


def expected_messages(records: Sequence[Record]) -> int:
    """How many MQTT messages the charge points' doings must give: one per frame and event."""
    return sum(record.frames + expected_events(record).total() for record in records)


def totals(records: Sequence[Record], outcome: Outcome) -> Totals:
    """The summary, from what came out."""
    costs = [event.payload for event in outcome.events if isinstance(event.payload, SessionCost)]
    energies = [
        event.payload.energy_used
        for event in outcome.events
        if isinstance(event.payload, Completed) and event.payload.energy_used is not None
    ]
    cost = sum((c.estimated_cost for c in costs), Decimal(0))
    currencies = sorted({c.currency for c in costs})
    return Totals(
        charge_points=len(records),
        frames=len(outcome.frames),
        events=len(outcome.events),
        messages=len(outcome.messages),
        sessions=len(energies),
        energy_kwh=sum((Decimal(str(energy)) for energy in energies), Decimal(0)),
        cost=cost.quantize(min(map(_minor_unit, currencies), default=Decimal(1))),
        currency="/".join(currencies),
    )


def disagreements(records: Sequence[Record], outcome: Outcome) -> list[str]:
    """Everything that does not agree, one sentence each; empty: all is well."""
    found: list[str] = []
    for record in records:
        found += _of_charge_point(record, outcome)
    found += [
        f"frame {frame.message_id} of {frame.client_id} is flagged: {frame.violation}"
        for frame in outcome.frames
        if frame.violation is not None
    ]
    found += [
        f"event {event.event_id} of {event.client_id} has anomalies: {', '.join(event.anomalies)}"
        for event in outcome.events
        if event.anomalies
    ]
    return found


def _of_charge_point(record: Record, outcome: Outcome) -> Iterator[str]:
    client_id = record.client_id
    frames = [frame for frame in outcome.frames if frame.client_id == client_id]
    if len(frames) != record.frames:
        yield f"{client_id} exchanged {record.frames} messages, Kafka has {len(frames)} frames"
    events = [event for event in outcome.events if event.client_id == client_id]
    counted = Counter(str(event.event_type) for event in events)
    for event_type, count in expected_events(record).items():
        if counted[event_type] != count:
            had = counted[event_type]
            yield f"{client_id}: expected {count} {event_type} events, Kafka has {had}"
    for session in record.sessions:
        yield from _of_session(session, events)

    mine = [m for m in outcome.messages if m.client_id == escape_level(client_id)]
    protocol = [m for m in mine if m.topic.startswith("ocpp/")]
    if len(protocol) != record.frames:
        yield (
            f"{client_id} exchanged {record.frames} messages, {len(protocol)} came over MQTT "
            "under ocpp/"
        )
    business = [m for m in mine if m.topic.startswith("csms/")]
    if business != [_as_mqtt(event) for event in events]:
        yield (
            f"{client_id}: the {len(business)} MQTT messages under csms/ are not the "
            f"{len(events)} events on Kafka, in their order"
        )


def _as_mqtt(event: BusinessEvent) -> MqttMessage:
    return MqttMessage(event_topic(event.event_type, event.client_id), to_json(event))


def _of_session(session: Session, events: Sequence[BusinessEvent]) -> Iterator[str]:
    name = f"session {session.transaction_id} of {session.client_id}"
    payloads = [event.payload for event in events]
    completed = [
        p
        for p in payloads
        if isinstance(p, Completed) and p.transaction_id == session.transaction_id
    ]
    costs = [
        p
        for p in payloads
        if isinstance(p, SessionCost) and p.transaction_id == session.transaction_id
    ]
    if len(completed) != 1 or len(costs) != 1:
        yield (
            f"{name}: {len(completed)} completed and {len(costs)} session_cost events, "
            "not one of each"
        )
        return
    minutes = (session.stop_time - session.start_time).total_seconds() / 60
    energy = Decimal(session.energy_wh) / _WH_PER_KWH
    done, cost = completed[0], costs[0]
    expected: dict[str, tuple[object, object]] = {
        "connectorId": (done.connector_id, session.connector_id),
        "evseId": (done.evse_id, session.evse_id),
        "idTag": (done.id_tag, session.id_tag),
        "meterStart": (done.meter_start, session.meter_start),
        "meterStop": (done.meter_stop, session.meter_stop),
        "startTime": (done.start_time, int(session.start_time.timestamp()) * _MICROSECONDS),
        "stopTime": (done.stop_time, int(session.stop_time.timestamp()) * _MICROSECONDS),
        "energyUsed": (done.energy_used, float(energy)),
        "duration": (done.duration, minutes),
        "status": (done.status, "completed"),
        "energyConsumed": (cost.energy_consumed, float(energy)),
        "estimatedCost": (cost.estimated_cost, _price(session, cost)),
    }
    for field, (actual, wanted) in expected.items():
        if actual != wanted:
            yield f"{name}: {field} is {actual}, the charge point says {wanted}"


def _price(session: Session, cost: SessionCost) -> Decimal:
    """The session's price at the event's rates."""
    minutes = Decimal((session.stop_time - session.start_time) // timedelta(seconds=1)) / 60
    energy = Decimal(session.energy_wh) / _WH_PER_KWH
    price = energy * cost.energy_rate + minutes * cost.time_rate + (cost.session_fee or 0)
    return price.quantize(_minor_unit(cost.currency), ROUND_HALF_UP)


def _minor_unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-minor_digits(currency))
