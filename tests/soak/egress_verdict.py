"""What an MQTT subscriber may say about the egress after faults. Pure: no broker, no clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Strand = tuple[str, str]
"""(stream, charge point): what has an order of its own."""


class Arrival(NamedTuple):
    """A message that the subscriber got.

    Attributes:
        strand: Whose it is.
        event_id: Of its payload or its properties.
        at: Seconds on the soak's clock.
        redelivered: The broker says that it sends it again (DUP flag): not the egress's doing.
    """

    strand: Strand
    event_id: str
    at: float
    redelivered: bool = False


class Fault(NamedTuple):
    """Something was broken on purpose.

    Attributes:
        name: What.
        begin: Seconds on the soak's clock.
        repeats: Messages that may come twice because of it.
    """

    name: str
    begin: float
    repeats: int


class Verdict(NamedTuple):
    """Counts; everything from `lost` on must be 0.

    Attributes:
        events: On the log.
        arrived: Of them, seen by the subscriber.
        dead_lettered: Refused for good, with a dead letter.
        dropped_by_broker: Acknowledged to the egress by a broker that was killed before it passed
            them on; a broker that keeps messages in memory does that.
        repeated: Sent more than once.
        allowed: Repeats that the faults explain.
        lost: Neither arrived, nor on the dead letter topic, nor dropped by the broker.
        out_of_order: First arrivals behind a later one of the same strand.
        unexplained: Repeats before any fault.
        invented: Arrivals that are not on the log.
    """

    events: int
    arrived: int
    dead_lettered: int
    dropped_by_broker: int
    repeated: int
    allowed: int
    lost: int
    out_of_order: int
    unexplained: int
    invented: int

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        wrong = self.lost + self.out_of_order + self.unexplained + self.invented
        return not wrong and self.repeated <= self.allowed


def judge(
    log: Mapping[Strand, Sequence[str]],
    arrivals: Iterable[Arrival],
    faults: Sequence[Fault],
    *,
    dead_letters: frozenset[str] = frozenset(),
    acknowledged_before_kill: frozenset[str] = frozenset(),
) -> Verdict:
    """Compare what is on the log with what arrived.

    Args:
        log: Event ids of each strand in the log's order.
        arrivals: In the order of arrival.
        faults: What was broken, and what it excuses.
        dead_letters: Event ids on the dead letter topic.
        acknowledged_before_kill: Event ids that a broker acknowledged shortly before it was killed.
    """
    place = {
        (strand, event_id): number
        for strand, ids in log.items()
        for number, event_id in enumerate(ids)
    }
    first_fault = min((fault.begin for fault in faults), default=float("inf"))
    seen: set[tuple[Strand, str]] = set()
    furthest: dict[Strand, int] = {}
    count: Counter[str] = Counter()
    for arrival in arrivals:
        known = (arrival.strand, arrival.event_id)
        number = place.get(known)
        if number is None:
            count["invented"] += 1
        elif known in seen:
            if not arrival.redelivered:
                count["repeated"] += 1
                count["unexplained"] += arrival.at < first_fault
        else:
            seen.add(known)
            count["out_of_order"] += number < furthest.get(arrival.strand, -1)
            furthest[arrival.strand] = max(number, furthest.get(arrival.strand, -1))
    missing = {event_id for strand, event_id in place.keys() - seen}
    dead = missing & dead_letters
    dropped = (missing - dead) & acknowledged_before_kill
    return Verdict(
        events=len(place),
        arrived=len(seen),
        dead_lettered=len(dead),
        dropped_by_broker=len(dropped),
        repeated=count["repeated"],
        allowed=sum(fault.repeats for fault in faults),
        lost=len(missing - dead - dropped),
        out_of_order=count["out_of_order"],
        unexplained=count["unexplained"],
        invented=count["invented"],
    )
