import orjson

from devstack.latency import Arrival, Latency, of, of_events, of_frames
from devstack.verdict import MqttMessage

MS = 1_000_000


def frame(request_id: str, at_ms: int, direction: str = "inbound") -> Arrival:
    payload = {"clientId": "a/b", "requestId": request_id, "direction": direction}
    return Arrival(MqttMessage("ocpp/messages/a%2Fb/Heartbeat", orjson.dumps(payload)), at_ms * MS)


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert of([number * MS for number in range(100, 0, -1)]) == Latency(50.0, 99.0)
    assert of([7 * MS]) == Latency(7.0, 7.0)
    assert of([]) is None


def test_a_frame_is_counted_from_its_sending() -> None:
    sent = {("a/b", "1"): 100 * MS, ("a/b", "2"): 100 * MS}
    arrivals = [
        frame("1", 110),
        frame("2", 130),
        frame("3", 999),  # not ours
        frame("2", 999, "outbound"),  # the central system's own request of that id
        Arrival(MqttMessage("ocpp/responses/a%2Fb/Heartbeat", b"{}"), 999 * MS),
    ]
    assert of_frames(arrivals, sent) == Latency(10.0, 30.0)


def test_an_event_is_counted_from_the_receipt_of_its_frame() -> None:
    payload = orjson.dumps({"eventId": f"status_changed_{1_701_944_130_000 * MS}"})
    message = MqttMessage("csms/connectors/CP1/status_changed", payload)
    frames = [frame("1", 5)]
    assert of_events([Arrival(message, 1_701_944_130_025 * MS), *frames]) == Latency(25.0, 25.0)
    assert of_events(frames) is None
