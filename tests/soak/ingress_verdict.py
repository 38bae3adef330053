"""What the charge points were told, against what is on the log: independent of the ingress's code.

It reads the log's records with fastavro and the schema alone, and folds them through the reducer to
see what becomes of them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import resources
from io import BytesIO
from itertools import pairwise
from typing import Any, Final, NamedTuple

import fastavro
from ingress_charge_points import Acknowledged, Session

from processor.reducer import IndigestibleFrameError, reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

_HEADER: Final = 10  # Avro single-object encoding: C3 01 and the schema's fingerprint
_SCHEMA: Final = fastavro.parse_schema(
    json.loads(resources.files("schemas").joinpath("avro/ocpp_frame.avsc").read_text("utf-8"))
)


class Verdict(NamedTuple):
    """Counts of what is wrong; all 0: nothing.

    Attributes:
        false_acknowledgements: Positive answers that are not on the log, or whose CALL isn't.
        doubled_frames: Frames that are on the log more than once.
        out_of_order: Neighbours of a connection whose times do not increase.
        transaction_ids: StartTransactions that got more than one id, and ids given to two.
        lost_events: Events of acknowledged sessions that the log does not give.
        doubled_events: Events that it gives more than once.
        altered_events: Sessions whose event has other registers.
    """

    false_acknowledgements: int = 0
    doubled_frames: int = 0
    out_of_order: int = 0
    transaction_ids: int = 0
    lost_events: int = 0
    doubled_events: int = 0
    altered_events: int = 0


def decode(value: bytes) -> OcppFrame:
    """A frame from its record's value."""
    found: Any = fastavro.schemaless_reader(BytesIO(value[_HEADER:]), _SCHEMA, None)
    names = {field["name"]: field["name"] for field in _SCHEMA["fields"]}  # type: ignore[index,call-overload]
    return OcppFrame(**{_snake(name): found[name] for name in names})


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def verify(
    frames: Sequence[OcppFrame], acknowledged: Iterable[Acknowledged], sessions: Sequence[Session]
) -> Verdict:
    """Compare.

    Args:
        frames: The whole log; of each partition in order.
        acknowledged: What charge points were told.
        sessions: Whose Stop was acknowledged.
    """
    on_log = Counter((f.client_id, f.direction, f.raw) for f in frames)
    false = sum(
        not (on_log[a.client_id, "inbound", a.call] and on_log[a.client_id, "outbound", a.answer])
        for a in acknowledged
    )
    # Each attempt has a message id of its own, so that equal bytes are one frame twice.
    doubled = sum(count - 1 for count in on_log.values())
    by_connection: dict[str, list[int]] = defaultdict(list)
    for frame in frames:
        by_connection[frame.connection_id].append(frame.received_at_ns)
    disorder = sum(b <= a for times in by_connection.values() for a, b in pairwise(times))
    rows, tariffs = MemoryRows(), Tariffs()
    events: list[BusinessEvent] = []
    for frame in frames:
        # A dead letter in the processor; what it costs is missing among the events.
        with suppress(IndigestibleFrameError):
            events += reduce(frame, rows, tariffs)
    lost, twice, altered = _compare_sessions(events, sessions)
    return Verdict(false, doubled, disorder, _id_conflicts(frames), lost, twice, altered)


def _id_conflicts(frames: Iterable[OcppFrame]) -> int:
    """Ids that were given to two different requests, and requests that were given two."""
    requests: dict[tuple[str, str | None], str] = {}
    pairs: set[tuple[str, int]] = set()
    for frame in frames:
        if frame.action != "StartTransaction":
            continue
        key = (frame.connection_id, frame.message_id)
        message = json.loads(frame.raw)
        if frame.kind == "CALL":
            requests[key] = frame.client_id + json.dumps(message[3], sort_keys=True)
        elif frame.kind == "CALLRESULT":
            pairs.add((requests.get(key, ""), message[2]["transactionId"]))
    contents = Counter(content for content, _ in pairs)
    ids = Counter(transaction_id for _, transaction_id in pairs)
    return sum(n - 1 for n in contents.values()) + sum(n - 1 for n in ids.values())


def _compare_sessions(
    events: Iterable[BusinessEvent], sessions: Iterable[Session]
) -> tuple[int, int, int]:
    found: dict[tuple[str, object, str], list[Any]] = defaultdict(list)
    for event in events:
        transaction_id = getattr(event.payload, "transaction_id", None)
        found[event.client_id, transaction_id, event.event_type].append(event.payload)
    lost = twice = altered = 0
    for session in sessions:
        registers: list[float | None] = []
        for event_type, expected in (
            ("started", 1),
            ("completed", 1),
            ("session_cost", 1),
            ("meter_reading", len(session.registers)),
        ):
            payloads = found[session.client_id, session.transaction_id, event_type]
            lost += max(0, expected - len(payloads))
            twice += max(0, len(payloads) - expected)
            if event_type == "completed":
                registers += [payload.meter_start for payload in payloads]
                registers += [payload.meter_stop for payload in payloads]
        whole = [session.meter_start] * (len(registers) // 2)
        whole += [session.meter_stop] * (len(registers) // 2)
        altered += registers != whole
    return lost, twice, altered
