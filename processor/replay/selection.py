"""Which events of a history are wanted."""

from fnmatch import fnmatchcase

import msgspec

from schemas.events import BusinessEvent


class Selection(msgspec.Struct, frozen=True):
    """A time range and charge points.

    Frames before `since` are reduced all the same: they are what the first events stand on.

    Attributes:
        since: Unix microseconds of the first receive time whose events are wanted, or None.
        until: Unix microseconds of the first receive time whose events are not wanted, or None.
        charge_points: Glob patterns of identities; empty: all.
    """

    since: int | None = None
    until: int | None = None
    charge_points: tuple[str, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether there is a time range."""
        return self.since is not None or self.until is not None

    def has_charge_point(self, client_id: str) -> bool:
        """Whether the charge point is wanted."""
        return not self.charge_points or any(
            fnmatchcase(client_id, pattern) for pattern in self.charge_points
        )

    def has_time(self, micros: int) -> bool:
        """Whether what was received then is wanted."""
        return (self.since is None or self.since <= micros) and (
            self.until is None or micros < self.until
        )

    def of(self, events: list[BusinessEvent]) -> list[BusinessEvent]:
        """The events within the time range."""
        if not self.bounded:
            return events
        return [event for event in events if self.has_time(event.timestamp)]


class Wanted(dict[str, bool]):
    """`Selection.has_charge_point`, remembered for each charge point."""

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self._selection = selection

    def __missing__(self, client_id: str) -> bool:
        wanted = self[client_id] = self._selection.has_charge_point(client_id)
        return wanted
