"""A million hostile frames through the session without I/O, and on through reducer and MQTT.

Each frame must come out as one frame of the log, byte for byte, times increasing, and survive the
codec; each CALL whose id can be read must get an answer that OCPP-J and the action's schema allow,
and nothing else may get one (`judge`). What is then on the log must not be a defect of ours to the
processor and the egress.

    python tests/fuzz/fuzz_session.py --frames 1000000 --seed 1 --duration 600
"""

import argparse
import os
import reprlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from itertools import count
from typing import Final, NamedTuple

import hypothesis
import orjson
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from judge import complaint
from mutations import Mutator
from samples import SCHEMAS

from egress.errors import RoutingError
from egress.routing import route_event, route_frame
from ingress.protocol.session import Mode, Objection, Pending, Session
from ingress.protocol.version import Authorization
from ingress.protocol.versions import VERSIONS
from processor.chunk import StagedRows
from processor.reducer import IndigestibleFrameError, reduce
from processor.tariff import Tariffs
from schemas.codec import frame_codec
from schemas.frames import OcppFrame
from schemas.headers import frame_headers

_START_NS: Final = 1_701_944_130_486_000_000
_FRAMES_PER_CONNECTION: Final = 500
_BY_HYPOTHESIS: Final = 50
"""One frame in so many is hypothesis's: slower to make, and a failing one is shrunk."""
_ENOUGH: Final = 20
_SHOWN: Final = 1500
_MODES: Final[tuple[Mode, Mode]] = ("lenient", "strict")
_CODEC: Final = frame_codec()


class Finding(Exception):  # noqa: N818 - what the fuzzer is for
    """A frame that was not treated as it should be."""

    def __init__(self, text: str, raw: bytes, protocol: str, mode: Mode) -> None:
        super().__init__(text, raw, protocol, mode)
        self.text, self.raw = text, raw

    def __str__(self) -> str:
        shown = repr(self.raw) if len(self.raw) < _SHOWN else reprlib.repr(self.raw)
        return f"{self.text}\n  {self.args[2]}, {self.args[3]}, frame: {shown}"


class Tally(NamedTuple):
    """What was tried."""

    frames: int = 0
    results: int = 0
    errors: int = 0
    events: int = 0

    def __add__(self, other: object) -> "Tally":
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Connection:
    """A session under test with the processor's state behind it."""

    def __init__(self, protocol: str, mode: Mode, session: Session | None = None) -> None:
        self._protocol, self._mode = protocol, mode
        self._session = session or Session(
            client_id="FUZZ/é +#",
            connection_id="c-1",
            version=VERSIONS[protocol],
            mode=mode,
            heartbeat_interval_s=300,
        )
        self._ticks = count()
        self._last_ns = 0
        self._ids = count(1)
        self._rows = StagedRows(lambda _: None)

    def put(self, raw: bytes) -> Tally:
        """Let the frame in.

        Raises:
            Finding: It was not treated as it should be.
        """
        try:
            return self._put(raw)
        except Finding:
            raise
        except Exception as error:
            raise Finding(f"crash: {error!r}", raw, self._protocol, self._mode) from error

    def _now_ns(self) -> int:
        # A clock that jumps back and forth, as a machine's may.
        return _START_NS + next(self._ticks) * 7919 % 1000

    def _put(self, raw: bytes) -> Tally:
        session = self._session
        received = session.receive(raw, self._now_ns())
        if received.frame.raw != raw:
            raise self._finding("the frame is not the bytes that came in", raw)
        events = self._logged(received.frame, raw)
        answer = None
        if received.todo is not None:
            outgoing = session.answer(
                received.todo,
                self._now_ns(),
                authorization=Authorization("Accepted"),
                transaction_id=next(self._ids),
            )
            answer = outgoing.frame.raw
            events += self._logged(outgoing.frame, raw)
            if not isinstance(received.todo, Objection):
                again = complaint(raw, session.unavailable(received.todo), self._protocol)
                if again is not None:
                    raise self._finding(f"while Kafka is away: {again}", raw)
        found = complaint(raw, answer, self._protocol)
        if found is not None:
            raise self._finding(found, raw)
        if answer is None:
            return Tally(1, events=events)
        if isinstance(received.todo, Pending):
            broken = received.todo.row.response.check(orjson.loads(answer)[2])
            if broken is not None:
                raise self._finding(f"the answer breaks its schema: {broken}", raw)
            return Tally(1, results=1, events=events)
        return Tally(1, errors=1, events=events)

    def _logged(self, frame: OcppFrame, raw: bytes) -> int:
        """What happens to the frame behind the log; how many events it gave."""
        if frame.received_at_ns <= self._last_ns:
            raise self._finding("its time is not above the last one's", raw)
        self._last_ns = frame.received_at_ns
        if (frame.kind == "INVALID") > (frame.violation is not None):
            raise self._finding("INVALID without a violation", raw)
        if _CODEC.decode(_CODEC.encode(frame)) != frame or not frame_headers(frame):
            raise self._finding("the codec changes it", raw)
        try:
            events = reduce(frame, self._rows, Tariffs())
        except IndigestibleFrameError:
            events = []
        # What has no route goes to the egress's dead letters, by its rules.
        with suppress(RoutingError):
            route_frame(frame)
        for event in events:
            with suppress(RoutingError):
                route_event(event)
        return len(events)

    def _finding(self, text: str, raw: bytes) -> Finding:
        return Finding(text, raw, self._protocol, self._mode)


def run(seed: str, protocol: str, frames: int, deadline: float) -> tuple[Tally, list[Finding]]:
    """`frames` mutated frames, or as many as there is time for; ends after `_ENOUGH` findings."""
    mutator = Mutator(protocol, seed)
    tally, findings = Tally(), list[Finding]()
    while tally.frames < frames and time.monotonic() < deadline and len(findings) < _ENOUGH:
        mode = _MODES[tally.frames // _FRAMES_PER_CONNECTION % 2]
        connection = Connection(protocol, mode)
        for _ in range(min(_FRAMES_PER_CONNECTION, frames - tally.frames)):
            try:
                tally += connection.put(mutator.frame())
            except Finding as finding:
                findings.append(finding)
                tally += Tally(1)
                break
    return tally, findings


def run_hypothesis(
    seed: str, protocol: str, frames: int, deadline: float
) -> tuple[Tally, list[Finding]]:
    """Frames made by hypothesis: any JSON, arrays like messages, any bytes."""
    actions = st.sampled_from(sorted(VERSIONS[protocol].from_charge_point)) | st.text(max_size=9)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
        max_leaves=10,
    )
    payloads = st.dictionaries(
        st.sampled_from(("connectorId", "idTag", "timestamp", "meterStart", "status", "value")),
        values,
    )
    messages = st.tuples(st.integers(0, 7), st.text(max_size=40), actions, payloads | values)
    raws = st.binary(max_size=80) | (messages.map(list) | values).map(
        lambda value: (
            orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
            if not _wide(value)
            else repr(value).encode("utf-8", "surrogatepass")
        )
    )
    tallies: list[Tally] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(frames, 1),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(raws, st.sampled_from(_MODES))
    def check(raw: bytes, mode: Mode) -> None:
        if time.monotonic() < deadline:
            tallies.append(Connection(protocol, mode).put(raw))

    findings = []
    try:
        check()
    except Finding as finding:
        findings.append(finding)
    return sum(tallies, Tally()), findings


def _wide(value: object) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def main() -> int:
    """1 if there is a finding; the last line says what was tried."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--duration", type=float, default=900.0, help="limit in seconds")
    arguments = parser.parse_args()
    began = time.monotonic()
    deadline = began + arguments.duration
    protocols = [protocol for protocol in VERSIONS if protocol in SCHEMAS]
    workers = os.cpu_count() or 1
    made = arguments.frames // _BY_HYPOTHESIS
    share = -(-(arguments.frames - made) // (workers * len(protocols)))
    tally, findings = Tally(), list[Finding]()
    with ProcessPoolExecutor(workers) as pool:
        tasks = [
            pool.submit(run, f"{arguments.seed}/{protocol}/{worker}", protocol, share, deadline)
            for worker in range(workers)
            for protocol in protocols
        ]
        tasks += [
            pool.submit(
                run_hypothesis, arguments.seed, protocol, -(-made // len(protocols)), deadline
            )
            for protocol in protocols
        ]
        for task in as_completed(tasks):
            tried, found = task.result()
            tally += tried
            findings += found
            for finding in found:
                print(f"FINDING {finding}", flush=True)
    seconds = time.monotonic() - began
    print(
        f"fuzz session: seed {arguments.seed}, {', '.join(protocols)}: {tally.frames:,} frames in "
        f"{seconds:.0f} s, {tally.results:,} results, {tally.errors:,} errors, {tally.events:,} "
        f"events, {len(findings)} findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
