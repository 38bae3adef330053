"""The MQTT contract's five example payloads, to the letter."""

import json
from pathlib import Path
from typing import Any

import orjson
from frames16 import POWER, REGISTER, Story, element, frame, sample

from schemas.event_json import to_json
from schemas.events import BusinessEvent

SEED = json.loads(Path(__file__).with_name("seed_events.json").read_text(encoding="utf-8"))
NANOSECONDS = 123_456_789


BOOTED = 1_701_944_115  # 2023-12-07T10:15:15Z


def _call(story: Story, action: str, payload: dict[str, Any], seconds: int) -> None:
    raw = orjson.dumps([2, str(seconds), action, payload])
    at = seconds * 1_000_000_000 + NANOSECONDS
    story.put(frame(raw, action=action, message_id=str(seconds), at=at))


def _status(story: Story, name: str, seconds: int) -> None:
    payload = {"connectorId": 1, "errorCode": "NoError", "status": name}
    _call(story, "StatusNotification", payload, seconds)


def _start(story: Story, seconds: int) -> None:
    start = {
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "timestamp": "2023-12-07T10:15:30Z",
    }
    _call(story, "StartTransaction", start, seconds - 1)
    story.at = seconds * 1_000_000_000 + NANOSECONDS
    story.answer({"transactionId": 123456, "idTagInfo": {"status": "Accepted"}}, str(seconds - 1))


def _session() -> list[BusinessEvent]:
    story = Story()
    _start(story, BOOTED + 15)
    values = element(sample("12500", REGISTER, unit="Wh"), sample("7200", POWER, unit="W"))
    meter = {"connectorId": 1, "transactionId": 123456, "meterValue": [values]}
    _call(story, "MeterValues", meter, BOOTED + 915)
    stop = {
        "transactionId": 123456,
        "idTag": "user123",
        "meterStop": 25000,
        "timestamp": "2023-12-07T11:45:30Z",
    }
    _call(story, "StopTransaction", stop, BOOTED + 5415)
    return story.events


def _charging() -> list[BusinessEvent]:
    # The examples report Charging, with the id, five seconds before the Start that assigns it; so
    # here that frame has a session of its own.
    story = Story()
    _status(story, "Preparing", BOOTED)
    _start(story, BOOTED + 5)
    _status(story, "Charging", BOOTED + 10)
    return story.events[-1:]


def _written() -> dict[str, dict[str, Any]]:
    """The events by type, read back from their MQTT payloads, key order kept."""
    return {event.event_type: json.loads(to_json(event)) for event in [*_session(), *_charging()]}


def test_the_seeds_five_examples_come_out_to_the_letter() -> None:
    written = _written()
    assert len(written) == len(SEED) == 5
    for example in SEED:
        event = written[example["eventType"]]
        # The examples' own digits are an hour off their timestamps; the next test has ours.
        digits = example["eventId"].rpartition("_")[2]
        event["eventId"] = event["eventId"].rpartition("_")[0] + "_" + digits
        assert json.dumps(event) == json.dumps(example)


def test_event_ids_carry_the_time_of_receipt_in_nanoseconds() -> None:
    written = _written()
    assert written["started"]["eventId"] == "started_1701944130123456789"
    # The cost comes out of the same frame as the completion, one nanosecond on.
    assert written["completed"]["eventId"] == "completed_1701949530123456789"
    assert written["session_cost"]["eventId"] == "session_cost_1701949530123456790"
