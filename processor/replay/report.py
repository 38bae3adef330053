"""What a run came to: tables for people, one JSON object for programs."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from processor.replay.difference import Totals
from processor.replay.run import Outcome
from processor.replay.tally import Tally

_KINDS: Final = ("added", "removed", "changed")
_MOST_CHARGE_POINTS: Final = 20
_EVENT_TYPES: Final = ("started", "completed", "meter_reading", "status_changed", "session_cost")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The object that `--json` prints."""
    tally = outcome.tally
    found: dict[str, Any] = {
        **tally_json(tally),
        "seconds": round(outcome.seconds, 3),
        "framesPerSecond": round(tally.frames / max(outcome.seconds, 0.001)),
        "processes": outcome.processes,
        "rejectFile": None if outcome.rejects is None else str(outcome.rejects),
    }
    if outcome.differences is not None:
        found["differences"] = differences_json(outcome.differences)
    return found


def tally_json(tally: Tally) -> dict[str, Any]:
    """The counts."""
    return {
        "frames": tally.frames,
        "events": tally.events,
        "anomalies": tally.anomalies,
        "energyKwh": tally.energy / 1000,
        "money": {currency: str(cost) for currency, cost in tally.money.items()},
        "rejected": tally.rejected,
        "otherLines": tally.other_lines,
        "repeatedLines": tally.repeated,
        "otherChargePoints": tally.passed_over,
    }


def differences_json(totals: Totals) -> dict[str, Any]:
    """The comparison."""
    return {
        "same": totals.same,
        **totals.by_kind(),
        "byChargePoint": totals.counts,
        "changedFields": totals.fields,
        "money": {
            currency: {
                "before": str(money.before),
                "after": str(money.after),
                "difference": str(money.after - money.before),
            }
            for currency, money in totals.money.items()
        },
    }


def show(outcome: Outcome, console: Console) -> None:
    """The tables."""
    tally = outcome.tally
    table = _table("", "")
    table.add_row("frames", f"{tally.frames:,}")
    for name, number in (
        ("frames of other charge points", tally.passed_over),
        ("lines that hold no frame", tally.other_lines),
        ("lines that another file repeats", tally.repeated),
    ):
        if number:
            table.add_row(name, f"{number:,}")
    for event_type in _EVENT_TYPES:
        if event_type in tally.events:
            table.add_row(event_type, f"{tally.events[event_type]:,}")
    table.add_row("energy", f"{tally.energy / 1000:,.3f} kWh")
    for currency, cost in sorted(tally.money.items()):
        table.add_row("cost", f"{cost:,} {currency}")
    for code, number in sorted(tally.anomalies.items()):
        table.add_row(f"anomaly {code}", f"{number:,}")
    console.print(table)
    if outcome.differences is not None:
        show_differences(outcome.differences, console)
    show_rejects(tally.rejected, outcome.rejects, console)


def show_rejects(rejected: Mapping[str, int], path: object, console: Console) -> None:
    """What was rejected, and where it is listed."""
    if rejected:
        table = _table("rejected", "lines")
        for reason, number in sorted(rejected.items()):
            table.add_row(reason, f"{number:,}")
        console.print(table)
        console.print(f"each with its place in {path}", highlight=False)


def show_differences(totals: Totals, console: Console) -> None:
    """The comparison's tables."""
    by_kind = totals.by_kind()
    table = _table("differences", *_KINDS)
    for event_type, numbers in _by_type(totals).items():
        table.add_row(event_type, *(f"{numbers.get(kind, 0):,}" for kind in _KINDS))
    table.add_row("all", *(f"{by_kind[kind]:,}" for kind in _KINDS), style="bold")
    console.print(table)
    console.print(f"{totals.same:,} events are as they were", highlight=False)
    if totals.differences:
        console.print(_by_charge_point(totals))
    if totals.fields:
        fields = _table("changed field", "events")
        for event_type, counts in totals.fields.items():
            for field, number in sorted(counts.items(), key=lambda item: -item[1]):
                fields.add_row(f"{event_type} {field.removeprefix('payload.')}", f"{number:,}")
        console.print(fields)
    if totals.money:
        money = _table("cost", "before", "after", "difference")
        for currency, sums in sorted(totals.money.items()):
            money.add_row(
                currency, f"{sums.before:,}", f"{sums.after:,}", _signed(sums.after - sums.before)
            )
        console.print(money)


def _by_type(totals: Totals) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for types in totals.counts.values():
        for event_type, numbers in types.items():
            of_type = found.setdefault(event_type, {})
            for kind, number in numbers.items():
                of_type[kind] = of_type.get(kind, 0) + number
    return {name: found[name] for name in _EVENT_TYPES if name in found}


def _by_charge_point(totals: Totals) -> Table:
    table = _table("charge point", *_KINDS)
    rows = []
    for client_id, types in totals.counts.items():
        numbers = [sum(of.get(kind, 0) for of in types.values()) for kind in _KINDS]
        rows.append((-sum(numbers), client_id, numbers))
    for _, client_id, numbers in sorted(rows)[:_MOST_CHARGE_POINTS]:
        table.add_row(client_id, *(f"{number:,}" for number in numbers))
    if len(rows) > _MOST_CHARGE_POINTS:
        table.add_row(
            f"and {len(rows) - _MOST_CHARGE_POINTS:,} more (--json lists all)", "", "", ""
        )
    return table


def _signed(difference: Decimal) -> str:
    return f"{difference:+,}"


def _table(first: str, *others: str) -> Table:
    table = Table(show_header=bool(first), box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
