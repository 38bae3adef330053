"""What a replay counts."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from schemas.events import BusinessEvent, Completed, SessionCost


class Tally(msgspec.Struct, kw_only=True):
    """The counts of a lane, or of a run.

    Attributes:
        frames: Frames put through the reducer.
        other_lines: Lines of logs that hold no frame (a log has more than frames).
        passed_over: Frames of charge points that were not asked for.
        repeated: Frames that another file of the same run has too.
        rejected: Lines and records that could not be reduced, by reason.
        events: Events by type.
        anomalies: Anomaly codes on those events.
        energy: Wh of the completed sessions.
        money: Estimated cost of the sessions, by currency.
    """

    frames: int = 0
    other_lines: int = 0
    passed_over: int = 0
    repeated: int = 0
    rejected: dict[str, int] = {}
    events: dict[str, int] = {}
    anomalies: dict[str, int] = {}
    energy: int = 0
    money: dict[str, Decimal] = {}

    def add_events(self, events: Iterable[BusinessEvent]) -> None:
        """Count events."""
        counts = self.events
        for event in events:
            counts[event.event_type] = counts.get(event.event_type, 0) + 1
            for code in event.anomalies:
                self.anomalies[code] = self.anomalies.get(code, 0) + 1
            payload = event.payload
            if type(payload) is SessionCost:
                self.money[payload.currency] = (
                    self.money.get(payload.currency, Decimal(0)) + payload.estimated_cost
                )
            elif type(payload) is Completed and payload.energy_used is not None:
                self.energy += round(payload.energy_used * 1000)

    def reject(self, reason: str) -> None:
        """Count a line or record that could not be reduced."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    @property
    def rejects(self) -> int:
        """All that was rejected."""
        return sum(self.rejected.values())

    @property
    def total_events(self) -> int:
        """All events."""
        return sum(self.events.values())


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """One tally for all."""
    total = Tally()
    for one in tallies:
        total.frames += one.frames
        total.other_lines += one.other_lines
        total.passed_over += one.passed_over
        total.repeated += one.repeated
        total.energy += one.energy
        for name in ("rejected", "events", "anomalies", "money"):
            counts = getattr(total, name)
            for key, count in getattr(one, name).items():
                counts[key] = counts.get(key, 0) + count
    return total
