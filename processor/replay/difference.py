"""What changed between the events there are and those a replay makes.

Events are the same one if charge point and eventId are. Since an eventId is the time at which its
frame was received (moved on a little where a frame has several), an event that merely has another
place among its frame's is still found: by charge point, type and a time closer than a microsecond.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import msgspec

from processor.replay.views import VIEWS, Fields, ViewName
from schemas.events import BusinessEvent

Kind: TypeAlias = Literal["added", "removed", "changed"]
_SAME_FRAME_NS: Final = 1000


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event that is not as it was.

    Attributes:
        fields: For `changed`: field → [before, after].
        before: For `removed`: the event.
        after: For `added`: the event.
    """

    difference: Kind
    client_id: str
    event_type: str
    event_id: str
    fields: dict[str, tuple[Any, Any]] = {}
    before: Fields | None = None
    after: Fields | None = None


class Money(msgspec.Struct):
    """Sums of estimated cost in one currency."""

    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)


class Totals(msgspec.Struct, kw_only=True, rename="camel"):
    """What the differences add up to.

    Attributes:
        same: Events that are as they were.
        counts: Charge point → event type → difference → number.
        fields: Event type → changed field → number.
        money: By currency.
    """

    same: int = 0
    counts: dict[str, dict[str, dict[str, int]]] = {}
    fields: dict[str, dict[str, int]] = {}
    money: dict[str, Money] = {}

    @property
    def differences(self) -> int:
        """All differences."""
        return sum(self.by_kind().values())

    def by_kind(self) -> dict[str, int]:
        """Difference → number."""
        kinds: dict[str, int] = {"added": 0, "removed": 0, "changed": 0}
        for types in self.counts.values():
            for numbers in types.values():
                for kind, number in numbers.items():
                    kinds[kind] += number
        return kinds

    def add(self, difference: Difference) -> None:
        """Count a difference."""
        types = self.counts.setdefault(difference.client_id, {})
        numbers = types.setdefault(difference.event_type, {})
        numbers[difference.difference] = numbers.get(difference.difference, 0) + 1
        for field in difference.fields:
            of_type = self.fields.setdefault(difference.event_type, {})
            of_type[field] = of_type.get(field, 0) + 1

    def count_money(self, event: Fields, *, after: bool) -> None:
        """Add a session's cost to its currency's sum."""
        cost, currency = event.get("payload.estimatedCost"), event.get("payload.currency")
        if cost is None or currency is None:
            return
        money = self.money.setdefault(currency, Money())
        if after:
            money.after += Decimal(str(cost))
        else:
            money.before += Decimal(str(cost))


class Comparison:
    """A lane's events against those there are.

    Both are in the order of the history, or nearly, so that only what has no counterpart yet is
    held in memory.

    Args:
        against: The lane's part of what there is, from `processor.replay.against`.
        differences: File that takes the differences, one a line; totals come last.
    """

    def __init__(self, against: Path, differences: Path) -> None:
        file = against.open("rb")  # closed by `_events_there`
        name: ViewName = msgspec.json.decode(file.readline())
        self._view = VIEWS[name]
        self._there = _events_there(file)
        self._out = differences.open("wb")
        self._totals = Totals()
        self._only_there: dict[tuple[str, str], Fields] = {}
        self._only_here: dict[tuple[str, str], Fields] = {}

    def offer(self, events: list[BusinessEvent]) -> None:
        """Compare events."""
        for event in events:
            here = self._view(event)
            self._totals.count_money(here, after=True)
            key = (here["clientId"], here["eventId"])
            there = self._only_there.pop(key, None)
            if there is None:
                there = self._next_until(key)
            if there is None:
                self._only_here[key] = here
            else:
                self._compare(there, here)

    def finish(self) -> None:
        """What has no counterpart by its eventId has one of its frame, or none at all."""
        for there in self._there:
            self._meet(there)
        nearby: dict[tuple[str, str], list[Fields]] = {}
        for event in self._only_there.values():
            nearby.setdefault((event["clientId"], event["eventType"]), []).append(event)
        for here in sorted(self._only_here.values(), key=_ns):
            candidates = nearby.get((here["clientId"], here["eventType"]), [])
            match = next((e for e in candidates if abs(_ns(e) - _ns(here)) < _SAME_FRAME_NS), None)
            if match is None:
                self._note("added", here, after=here)
            else:
                candidates.remove(match)
                self._compare(match, here)
        for left in nearby.values():
            for event in left:
                self._note("removed", event, before=event)
        self._out.write(msgspec.json.encode(self._totals))
        self._out.close()

    def _next_until(self, key: tuple[str, str]) -> Fields | None:
        """The event with the key, if it comes before any that is later."""
        for there in self._there:
            self._totals.count_money(there, after=False)
            found = (there["clientId"], there["eventId"])
            if found == key:
                return there
            self._meet(there, counted=True)
            if _ns(there) > int(key[1].rpartition("_")[2]):
                return None
        return None

    def _meet(self, there: Fields, *, counted: bool = False) -> None:
        if not counted:
            self._totals.count_money(there, after=False)
        key = (there["clientId"], there["eventId"])
        here = self._only_here.pop(key, None)
        if here is None:
            self._only_there[key] = there
        else:
            self._compare(there, here)

    def _compare(self, there: Fields, here: Fields) -> None:
        if there == here:
            self._totals.same += 1
            return
        changed = {
            name: (there.get(name), here.get(name))
            for name in dict.fromkeys((*there, *here))
            if there.get(name) != here.get(name)
        }
        self._note("changed", here, fields=changed)

    def _note(self, kind: Kind, event: Fields, **what: Any) -> None:  # noqa: ANN401 - of Difference
        difference = Difference(
            difference=kind,
            client_id=event["clientId"],
            event_type=event["eventType"],
            event_id=event["eventId"],
            **what,
        )
        self._totals.add(difference)
        self._out.write(msgspec.json.encode(difference) + b"\n")


def totals_in(differences: Path) -> Totals:
    """A lane's totals: the last line."""
    with differences.open("rb") as file:
        last = b""
        for line in file:
            last = line
    return msgspec.json.decode(last, type=Totals)


def sum_of(totals: list[Totals]) -> Totals:
    """All lanes' totals. A charge point is in one lane only."""
    total = Totals()
    for one in totals:
        total.same += one.same
        total.counts.update(one.counts)
        for event_type, fields in one.fields.items():
            of_type = total.fields.setdefault(event_type, {})
            for field, number in fields.items():
                of_type[field] = of_type.get(field, 0) + number
        for currency, money in one.money.items():
            sums = total.money.setdefault(currency, Money())
            sums.before += money.before
            sums.after += money.after
    return total


def differences_in(parts: list[Path]) -> Iterator[bytes]:
    """The differences of all lanes as JSON lines."""
    for part in parts:
        with part.open("rb") as file:
            previous = b""
            for line in file:
                if previous:
                    yield previous
                previous = line


def _ns(event: Fields) -> int:
    return int(event["eventId"].rpartition("_")[2])


def _events_there(file: BinaryIO) -> Iterator[Fields]:
    with file:
        for line in file:
            yield msgspec.json.decode(line, type=Fields)
