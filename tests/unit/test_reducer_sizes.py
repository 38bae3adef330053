"""What charge points send has no bound; what is written to Kafka has, or a partition would stop."""

import pytest
from frames2x import Story2x
from frames16 import Story, element, kinds, sample

from processor.reducer import IndigestibleFrameError
from processor.state import HistoryRow, MemoryRows, encode_row, history_key
from schemas.codec import event_codec

LONG = "x" * 200_000
WORST = "\x01" * 255
"""Six bytes a sign where it is stored."""
TAKEN = 900_000
"""Kafka takes a million, with key and headers."""


def largest(rows: MemoryRows) -> int:
    return max(len(encode_row(row)) for row in rows.rows.values())


def test_a_text_without_end_is_not_kept_and_does_not_cost_the_session() -> None:
    story = Story()
    for number in range(1, 8):
        [started] = story.start(number, idTag=LONG, meterStart=1000 + number, status=LONG)
        assert started["payload"]["idTag"] is None
        assert started["anomalies"] == ["schema_violation"]
        completed, cost = story.stop(number, idTag=LONG, reason=LONG, timestamp=LONG)
        assert completed["payload"]["energyUsed"] == cost["payload"]["energyConsumed"] > 23.9
        assert "timestamp_unreadable" in completed["anomalies"]
    for number in range(9):
        story.call("StartTransaction", {"connectorId": 1, "timestamp": LONG, "idTag": LONG})
        story.stop(100 + number, idTag=LONG, timestamp=LONG)
    assert largest(story.rows) < 20_000


def test_a_status_without_end_is_indigestible() -> None:
    with pytest.raises(IndigestibleFrameError, match="1 to 255 signs"):
        Story().status(LONG)
    with pytest.raises(IndigestibleFrameError, match="1 to 255 signs"):
        Story2x().connector(LONG)


def test_a_2x_text_without_end_is_not_kept_and_does_not_cost_the_session() -> None:
    story = Story2x()
    story.started(idToken={"idToken": LONG, "type": "Central"}, at=LONG)
    with pytest.raises(IndigestibleFrameError, match="1 to 255 signs"):
        story.started(tx=LONG)
    completed, cost = story.ended(1, info={"stoppedReason": LONG})[-2:]
    assert completed["payload"]["idTag"] is None
    assert cost["payload"]["energyConsumed"] == 24.0
    assert largest(story.rows) < 2_000


def test_sessions_of_many_connectors_with_the_longest_texts_fit_into_a_row() -> None:
    story = Story()
    for number in range(1, 601):
        story.start(number, idTag=WORST, connectorId=number % 300 + 1)
        if number % 2:
            story.stop(number, idTag=WORST)
    assert largest(story.rows) < TAKEN
    history = story.rows.get(history_key(story.frames[0].client_id))
    assert isinstance(history, HistoryRow)
    assert len(history.closed) > 64
    # The latest are kept.
    assert history.closed[-1].ids == (599,)
    assert story.stop(599, idTag=WORST) == []


def test_sessions_of_dozens_of_connectors_are_all_kept() -> None:
    story = Story()
    for number in range(1, 40 * 32 + 1):
        story.start(number, connectorId=number % 40 + 1)
        story.stop(number)
    assert story.stop(1, meterStop=7) == []


def test_the_largest_element_makes_an_event_that_kafka_takes() -> None:
    sign = "\U0001f50c"
    names = [f"{number:03}{sign * 61}" for number in range(500)]
    texts = ("measurand", "phase", "location", "context", "unit")
    large = element(*(sample("1", **dict.fromkeys(texts, name)) for name in names))
    for story in (Story(), Story2x()):
        if isinstance(story, Story2x):
            large = element(*(sample(1.5, **dict.fromkeys(texts[:4], name)) for name in names))
            events = story.call("MeterValues", {"evseId": 1, "meterValue": [large]})
        else:
            events = story.meter(large)
        assert kinds(events) == ["meter_reading"]
        assert len(event_codec().encode(story.events[0])) < TAKEN


@pytest.mark.parametrize(
    "large",
    [
        element(*(sample("1", phase=str(number)) for number in range(501))),
        element(sample("1", "x" * 65)),
        element(sample("1", context="x" * 65)),
    ],
)
def test_an_element_beyond_that_is_unreadable(large: dict[str, object]) -> None:
    with pytest.raises(IndigestibleFrameError, match=r"501 sampled values|up to 64 signs"):
        Story().meter(large)
    with pytest.raises(IndigestibleFrameError, match=r"501 sampled values|up to 64 signs"):
        Story2x().call("MeterValues", {"evseId": 1, "meterValue": [large]})
    story = Story()
    story.start()
    completed, cost = story.stop(transactionData=[large])
    assert completed["anomalies"] == ["schema_violation", "transaction_data_unreadable"]
    assert cost["payload"]["energyConsumed"] == 24.0
