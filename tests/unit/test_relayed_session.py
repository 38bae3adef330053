from hypothesis import given
from hypothesis import strategies as st

from ingress.protocol.relayed_session import RelayedSession
from ingress.protocol.versions import VERSIONS
from schemas.codec import frame_codec
from schemas.frames import INBOUND, OUTBOUND, Direction, OcppFrame

NOW = 1_701_944_130_486_000_000


def session(protocol: str = "ocpp1.6") -> RelayedSession:
    return RelayedSession(client_id="CP1", connection_id="c-1", version=VERSIONS[protocol])


def observe(one: RelayedSession, direction: Direction, raw: bytes) -> OcppFrame:
    return one.observe(direction, raw, NOW)


def test_each_sides_results_carry_the_action_of_the_call_they_answer() -> None:
    one = session()
    observe(one, INBOUND, b'[2,"1","Heartbeat",{}]')
    observe(one, OUTBOUND, b'[2,"1","Reset",{"type":"Soft"}]')
    result = observe(one, INBOUND, b'[3,"1",{"status":"Accepted"}]')
    assert (result.kind, result.action, result.violation) == ("CALLRESULT", "Reset", None)
    result = observe(one, OUTBOUND, b'[3,"1",{"currentTime":"2023-12-07T10:15:30Z"}]')
    assert (result.kind, result.action, result.violation) == ("CALLRESULT", "Heartbeat", None)
    error = observe(one, OUTBOUND, b'[4,"1","InternalError","",{}]')
    assert (error.action, error.violation) == (None, "FormationViolation: answers no open CALL")


def test_what_breaks_a_schema_is_noted_on_either_side() -> None:
    one = session()
    call = observe(one, INBOUND, b'[2,"1","Heartbeat",{"extra":1}]')
    assert (call.violation or "").startswith("FormationViolation: ")
    result = observe(one, OUTBOUND, b'[3,"1",{}]')
    assert (result.violation or "").startswith("ProtocolError: ")
    observe(one, OUTBOUND, b'[2,"2","Reset",{"type":"Soft"}]')
    answer = observe(one, INBOUND, b'[3,"2",{"status":"Perhaps"}]')
    assert (answer.violation or "").startswith("PropertyConstraintViolation: ")


def test_actions_of_the_wrong_side_or_of_none_are_noted() -> None:
    one = session()
    assert (observe(one, INBOUND, b'[2,"1","Reset",{}]').violation or "").startswith("NotSupported")
    assert (observe(one, OUTBOUND, b'[2,"1","Heartbeat",{}]').violation or "").startswith(
        "NotSupported"
    )
    assert (observe(one, OUTBOUND, b'[2,"1","Sing",{}]').violation or "").startswith(
        "NotImplemented"
    )


def test_sends_and_callresulterrors_of_21_are_told_apart() -> None:
    one = session("ocpp2.1")
    send = observe(one, INBOUND, b'[6,"1","NotifyPeriodicEventStream",{}]')
    assert (send.kind, send.action) == ("SEND", "NotifyPeriodicEventStream")
    assert (send.violation or "").startswith("OccurrenceConstraintViolation: ")
    observe(one, OUTBOUND, b'[2,"2","Reset",{"type":"Immediate"}]')
    observe(one, INBOUND, b'[3,"2",{"status":"Perhaps"}]')
    objection = observe(one, OUTBOUND, b'[5,"2","PropertyConstraintViolation","",{}]')
    assert (objection.kind, objection.action) == ("CALLRESULTERROR", "Reset")
    assert objection.violation is None
    stray = observe(one, INBOUND, b'[5,"2","PropertyConstraintViolation","",{}]')
    assert stray.violation == "FormatViolation: answers no open CALL"


def test_commands_of_the_central_system_are_held_against_their_schema() -> None:
    wrong = observe(session(), OUTBOUND, b'[2,"1","Reset",{"type":"Gentle"}]')
    assert (wrong.violation or "").startswith("PropertyConstraintViolation: type: ")


def test_unanswered_calls_are_remembered_up_to_a_bound() -> None:
    one = session()
    for number in range(1000):
        observe(one, INBOUND, f'[2,"{number}","Heartbeat",{{}}]'.encode())
    late = b'{"currentTime":"2023-12-07T10:15:30Z"}'
    assert observe(one, OUTBOUND, b'[3,"999",%b]' % late).action == "Heartbeat"
    assert observe(one, OUTBOUND, b'[3,"0",%b]' % late).action is None


@given(st.lists(st.tuples(st.sampled_from([INBOUND, OUTBOUND]), st.binary(max_size=80))))
def test_any_bytes_become_a_frame_that_holds_them(messages: list[tuple[Direction, bytes]]) -> None:
    one, codec = session(), frame_codec()
    frames = [one.observe(direction, raw, NOW) for direction, raw in messages]
    assert [(frame.direction, frame.raw) for frame in frames] == messages
    times = [frame.received_at_ns for frame in frames]
    assert times == sorted(set(times))
    assert [codec.decode(codec.encode(frame)) for frame in frames] == frames
