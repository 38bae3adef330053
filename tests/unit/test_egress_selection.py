"""egress.selection: MQTT topic filters as the standard has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from egress.errors import TopicFilterError
from egress.selection import selection

LEVELS = st.sampled_from(["a", "b", "c d", "a.b", "", "Ä"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, end: "/".join([*levels, *end]),
    st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)


@given(FILTERS, TOPICS)
def test_filters_match_what_paho_matches(topic_filter: str, topic: str) -> None:
    assert selection([topic_filter], ())(topic) == topic_matches_sub(topic_filter, topic)


def test_nothing_chosen_is_everything() -> None:
    assert selection((), ())("ocpp/messages/CP1/Heartbeat")


@pytest.mark.parametrize(
    ("topic", "published"),
    [
        ("csms/billing/CP1/session_cost", True),
        ("csms/transactions/CP1/meter_reading", False),
        ("ocpp/messages/CP1/StartTransaction", True),
        ("ocpp/responses/CP1/StartTransaction", False),
    ],
)
def test_only_and_except_together(topic: str, published: bool) -> None:  # noqa: FBT001 - a table's column
    selects = selection(
        ["csms/#", "ocpp/messages/+/StartTransaction"], ["csms/transactions/+/meter_reading"]
    )
    assert selects(topic) == published


@pytest.mark.parametrize("text", ["", "a/#/b", "a/b#", "a+/b", "a/+b"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(TopicFilterError, match="no MQTT topic filter"):
        selection([text], ())
