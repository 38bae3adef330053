"""Ended sessions: is this Start or Stop one that was seen before?"""

from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from processor.state import (
    ClosedTransaction,
    HistoryRow,
    OrphanStop,
    Session,
    Start,
    StopContent,
    Transaction,
)

MAX_KEPT: Final = 32
"""Abandoned and closed sessions kept per connector, and orphaned Stops per charge point."""
_SELDOM: Final = 64
_MAX_BYTES: Final = 400_000
"""Of either kind of sessions as they are stored: Kafka takes a row of a million."""
SAME_START_MICROS: Final = 60_000_000
"""Two Starts with the same content within a minute are one that was sent twice."""

_Ended = TypeVar("_Ended", bound=Session)


def same_content(one: Start, other: Start) -> bool:
    """Whether two Starts on a connector agree in all but their time."""
    return (
        one.connector_id == other.connector_id
        and one.id_tag == other.id_tag
        and one.meter_start == other.meter_start
    )


def close_in_time(one: Start, other: Start) -> bool:
    """Whether two Starts are as near in time as a retransmission; the same text always is."""
    if one.start_text == other.start_text:
        return True
    if one.start_time is None or other.start_time is None:
        return False
    return abs(one.start_time - other.start_time) <= SAME_START_MICROS


def with_id(ids: tuple[int, ...], transaction_id: int) -> tuple[int, ...]:
    """A session's ids and one more; its own, the first, stays for ever."""
    return (ids[0], *(*ids[1:], transaction_id)[-(MAX_KEPT - 1) :])


def seen_before(history: HistoryRow, transaction_id: int, start: Start) -> HistoryRow | None:
    """The history that knows the id for this Start, if the Start belongs to an ended session.

    Under its id a Start is known again by its content within a minute; under another id only by the
    very same time, and only if that is a real one.
    """
    abandoned = _with_id(history.abandoned, transaction_id, start)
    if abandoned is not None:
        return _changed(history, abandoned=abandoned)
    closed = _with_id(history.closed, transaction_id, start)
    if closed is not None:
        return _changed(history, closed=closed)
    return None


def known_stop(history: HistoryRow, transaction_id: int, stop: StopContent) -> bool:
    """Whether this very Stop was seen before.

    A charge point that lost the id between two attempts sends 0 or -1 the second time, so with
    these the content alone decides.
    """
    for closed in history.closed:
        if (
            closed.stop == stop
            and stop.stop_text is not None
            and (transaction_id <= 0 or transaction_id in closed.ids)
        ):
            return True
    return any(
        orphan.transaction_id == transaction_id and orphan.stop == stop
        for orphan in history.orphans
    )


def ended_with(history: HistoryRow, transaction_id: int) -> bool:
    """Whether a Stop with this id was seen; ids up to 0 stand for no particular session."""
    return transaction_id > 0 and (
        any(transaction_id in closed.ids for closed in history.closed)
        or any(transaction_id == orphan.transaction_id for orphan in history.orphans)
    )


def abandoned_with(history: HistoryRow, transaction_id: int) -> Transaction | None:
    """The newest abandoned session with this id; ids up to 0 stand for no particular one."""
    if transaction_id > 0:
        for transaction in reversed(history.abandoned):
            if transaction_id in transaction.ids:
                return transaction
    return None


def with_abandoned(history: HistoryRow, transaction: Transaction) -> HistoryRow:
    """The history with one more abandoned session."""
    return replace(history, abandoned=_bounded((*history.abandoned, transaction)))


def with_closed(history: HistoryRow, closed: ClosedTransaction) -> HistoryRow:
    """The history with one more closed session, which is abandoned no longer."""
    return replace(
        history,
        abandoned=tuple(
            old for old in history.abandoned if (old.ids, old.start) != (closed.ids, closed.start)
        ),
        closed=_bounded((*history.closed, closed)),
    )


def with_orphan(history: HistoryRow, transaction_id: int, stop: StopContent) -> HistoryRow:
    """The history with one more Stop whose Start was never seen."""
    orphan = OrphanStop(transaction_id=transaction_id, stop=stop)
    return replace(history, orphans=(*history.orphans, orphan)[-MAX_KEPT:])


def without_orphan(history: HistoryRow, transaction_id: int) -> HistoryRow:
    """The history after a Start with the id: its Stop is still to come and must not be dropped."""
    if transaction_id <= 0 or not any(
        orphan.transaction_id == transaction_id for orphan in history.orphans
    ):
        return history
    return replace(
        history,
        orphans=tuple(
            orphan for orphan in history.orphans if orphan.transaction_id != transaction_id
        ),
    )


def _with_id(
    ended: tuple[_Ended, ...], transaction_id: int, start: Start
) -> tuple[_Ended, ...] | None:
    """The sessions with the id added to the one that the Start opened, or None."""
    for place in range(len(ended) - 1, -1, -1):
        old = ended[place]
        if not same_content(old.start, start):
            continue
        if transaction_id > 0 and transaction_id in old.ids and close_in_time(old.start, start):
            return ended
        if start.start_time is not None and start.start_text == old.start.start_text:
            if transaction_id in old.ids:
                return ended
            renamed = replace(old, ids=with_id(old.ids, transaction_id))
            return (*ended[:place], renamed, *ended[place + 1 :])
    return None


def _changed(
    history: HistoryRow,
    *,
    abandoned: tuple[Transaction, ...] | None = None,
    closed: tuple[ClosedTransaction, ...] | None = None,
) -> HistoryRow:
    """The history itself where nothing is new, so that no row is written."""
    if abandoned is not None and abandoned is not history.abandoned:
        return replace(history, abandoned=abandoned)
    if closed is not None and closed is not history.closed:
        return replace(history, closed=closed)
    return history


def _bounded(ended: tuple[_Ended, ...]) -> tuple[_Ended, ...]:
    """Without the oldest: of the last one's connector, and of all if they fill a row."""
    connector = ended[-1].start.connector_id
    places = [place for place, old in enumerate(ended) if old.start.connector_id == connector]
    if len(places) > MAX_KEPT:
        ended = (*ended[: places[0]], *ended[places[0] + 1 :])
    # Only of dozens of connectors, or one that plays with numbers and long idTags.
    while len(ended) > _SELDOM and len(msgspec.json.encode(ended)) > _MAX_BYTES:
        ended = ended[len(ended) // 8 :]
    return ended
