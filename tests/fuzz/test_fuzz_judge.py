"""The fuzzers must be able to fail: each kind of fault, planted, is found."""

import json

import msgspec
import pytest
from fuzz_session import Connection, Finding, run, run_hypothesis
from fuzz_socket import Exchange, compare
from judge import complaint, head_of
from mutations import Mutator

from ingress.protocol.session import Objection, Outgoing, Pending, Received, Refusal, Session
from ingress.protocol.version import Authorization
from ingress.protocol.versions import VERSIONS

CALL = b'[2,"m-1","Heartbeat",{}]'
RESULT = b'[3,"m-1",{}]'
ERROR = b'[4,"m-1","FormationViolation","",{}]'


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        (CALL, (2, "m-1")),
        (b'\xef\xbb\xbf [ 2 , "\\u006d-1" ,', (2, "m-1")),
        (b'[2,"m-1"]', (2, "m-1")),
        (b'[2,"m-1"][', (2, None)),
        (b'[2"m-1",', (None, None)),
        (b'[null,"m-1",', (None, "m-1")),
        (b'[2,"m-1"', (2, None)),
        (b'[2,"",', (2, None)),
        (b'[2,"\xff",', (2, None)),
        (b'[2,"' + b"x" * 37 + b'",', (2, None)),
        (b'[2.0,"m-1",', (None, "m-1")),
        (b"[" + b"9" * 5000, (None, None)),
        (b'[3,"m-1",', (3, "m-1")),
        (b"[" * 1024 + b"]" * 1023 + b',"m-1",', (None, "m-1")),
        (b"{}", None),
        (b"", None),
    ],
)
def test_the_head_of_an_array_is_read(
    raw: bytes, head: tuple[int | None, str | None] | None
) -> None:
    assert head_of(raw) == head


@pytest.mark.parametrize(
    ("raw", "answer", "text"),
    [
        (CALL, RESULT, None),
        (CALL, ERROR, None),
        (CALL, None, "without an answer"),
        (b'[2,"m-1","Heartbeat",{"a":NaN', None, "without an answer"),
        (CALL, b'[3,"m-2",{}]', "another id"),
        (CALL, b'[3,"m-1"]', "no result and no error"),
        (CALL, b"[3,", "no JSON"),
        (CALL, b'[4,"m-1","FormatViolation","",{}]', "no error code"),
        (CALL, b'[4,"m-1","GenericError","%s",{}]' % (b"x" * 256), "too long"),
        (RESULT, None, None),
        (RESULT, ERROR, "no CALL"),
        (b"garbage", ERROR, "no CALL"),
    ],
)
def test_a_wrong_answer_is_found(raw: bytes, answer: bytes | None, text: str | None) -> None:
    found = complaint(raw, answer, "ocpp1.6")
    assert found == text if text is None else text in str(found)


def test_2x_answers_what_it_can_not_read_under_minus_one() -> None:
    error = b'[4,"-1","RpcFrameworkError","",{}]'
    assert complaint(b"garbage", error, "ocpp2.0.1") is None
    assert complaint(b'[3,"x",', error, "ocpp2.0.1") == "an answer to what is never answered"
    assert "no such id" in str(complaint(b"garbage", error.replace(b"-1", b"x"), "ocpp2.0.1"))


class Faulty(Session):
    """A session with one planted fault."""

    fault: str

    def receive(self, raw: bytes, now_ns: int) -> Received:
        received = super().receive(raw, now_ns)
        match self.fault:
            case "crash":
                raise RecursionError(raw)
            case "bytes":
                return Received(
                    msgspec.structs.replace(received.frame, raw=raw + b" "), received.todo
                )
            case "silent":
                return Received(received.frame, None)
            case "clock":
                self._last_ns = 0
        return received

    def answer(
        self,
        todo: Pending | Refusal | Objection,
        now_ns: int,
        *,
        authorization: Authorization | None = None,
        transaction_id: int | None = None,
    ) -> Outgoing:
        outgoing = super().answer(
            todo, now_ns, authorization=authorization, transaction_id=transaction_id
        )
        if self.fault != "schema":
            return outgoing
        return Outgoing(msgspec.structs.replace(outgoing.frame, raw=b'[3,"m-1",{"currentTime":7}]'))


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("crash", "crash: RecursionError"),
        ("bytes", "not the bytes that came in"),
        ("silent", "a CALL without an answer"),
        ("clock", "not above the last one's"),
        ("schema", "the answer breaks its schema"),
    ],
)
def test_a_planted_fault_of_the_session_is_found(fault: str, text: str) -> None:
    session = Faulty(
        client_id="CP1",
        connection_id="c-1",
        version=VERSIONS["ocpp1.6"],
        mode="lenient",
        heartbeat_interval_s=300,
    )
    session.fault = fault
    connection = Connection("ocpp1.6", "lenient", session)
    found = []
    for _ in range(10):
        try:
            connection.put(CALL)
        except Finding as finding:
            found.append(str(finding))
    assert text in found[0]
    assert "Heartbeat" in found[0]


def test_the_same_seed_gives_the_same_frames() -> None:
    one, same, other = (Mutator("ocpp1.6", seed) for seed in ("a", "a", "b"))
    frames = [one.frame() for _ in range(200)]
    assert frames == [same.frame() for _ in range(200)]
    assert frames != [other.frame() for _ in range(200)]


@pytest.mark.parametrize("protocol", VERSIONS)
def test_a_short_run_has_no_findings(protocol: str) -> None:
    tally, findings = run("test", protocol, 3000, float("inf"))
    assert (tally.frames, [str(finding) for finding in findings]) == (3000, [])
    assert tally.results > 300
    assert tally.errors > 300
    made, findings = run_hypothesis("test", protocol, 100, float("inf"))
    assert made.frames >= 100
    assert findings == []


def wire() -> Exchange:
    return Exchange("FUZZ", "ocpp1.6", [CALL, b"garbage", CALL], [RESULT, RESULT])


def log() -> list[tuple[str, bytes]]:
    return [
        ("inbound", CALL),
        ("outbound", RESULT),
        ("inbound", b"garbage"),
        ("inbound", CALL),
        ("outbound", RESULT),
    ]


def test_a_faultless_log_is_passed() -> None:
    assert list(compare(wire(), log())) == []


@pytest.mark.parametrize("place", range(5))
def test_a_frame_that_the_log_lacks_has_twice_or_altered_is_found(place: int) -> None:
    lost, twice, altered = log(), log(), log()
    del lost[place]
    twice.insert(place, twice[place])
    altered[place] = (altered[place][0], altered[place][1] + b" ")
    for wrong in (lost, twice, altered):
        assert len(list(compare(wire(), wrong))) == 1


def test_a_missing_and_a_superfluous_answer_are_found() -> None:
    for answers, text in (([RESULT], "without an answer"), ([RESULT] * 3, "too many")):
        exchange = Exchange("FUZZ", "ocpp1.6", [CALL, CALL], answers)
        assert any(text in found for found in compare(exchange, []))


@pytest.mark.parametrize("protocol", VERSIONS)
def test_samples_have_the_shape_of_their_schema(protocol: str) -> None:
    mutator = Mutator(protocol, "samples")
    for action, row in VERSIONS[protocol].from_charge_point.items():
        number, message_id, name, payload = json.loads(mutator.call(action, "m-1"))
        assert (number, message_id, name) == (2, "m-1", action)
        found = row.request.check(payload)
        # A text that a pattern or a range forbids is all right: the payloads are bent anyway.
        assert found is None or found.code.startswith("PropertyConstraint"), (action, found)
