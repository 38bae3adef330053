"""MQTT topics of the contract, and identities that would break them."""

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PAYLOAD_TYPES
from schemas.mqtt import EVENT_TOPICS, escape_level, event_topic


@pytest.mark.parametrize(
    ("event_type", "topic"),
    [
        ("started", "csms/transactions/charge-point-001/started"),
        ("completed", "csms/transactions/charge-point-001/completed"),
        ("meter_reading", "csms/transactions/charge-point-001/meter_reading"),
        ("status_changed", "csms/connectors/charge-point-001/status_changed"),
        ("session_cost", "csms/billing/charge-point-001/session_cost"),
    ],
)
def test_each_event_has_the_topic_of_the_contract(event_type: str, topic: str) -> None:
    assert event_topic(event_type, "charge-point-001") == topic


def test_every_event_type_has_a_topic_and_no_other() -> None:
    assert EVENT_TOPICS.keys() == PAYLOAD_TYPES.keys()


def test_an_unknown_event_type_is_an_error() -> None:
    with pytest.raises(KeyError):
        event_topic("exploded", "CP1")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("CP1", "CP1"),
        ("EVB-P 12.4_*", "EVB-P 12.4_*"),
        ("Säule 1", "Säule 1"),
        ("a/b", "a%2Fb"),
        ("+", "%2B"),
        ("#", "%23"),
        ("100%", "100%25"),
        ("a\x00b", "a%00b"),
        ("a\x7f\x85", "a%7F%C2%85"),
        ("\ud800", "%ED%A0%80"),
        ("\ufffe", "%EF%BF%BE"),
        ("{client_id}", "{client_id}"),
    ],
)
def test_what_would_break_a_topic_is_percent_encoded(text: str, escaped: str) -> None:
    assert escape_level(text) == escaped
    assert event_topic("started", text) == f"csms/transactions/{escaped}/started"


@given(st.text())
def test_a_level_is_safe_and_can_be_undone(text: str) -> None:
    level = escape_level(text)
    assert not set(level) & set("/+#\x00")
    assert level.isprintable()
    assert urllib.parse.unquote(level, errors="strict") == text


@given(st.text(), st.text())
def test_two_identities_never_share_a_topic(one: str, other: str) -> None:
    assert (escape_level(one) == escape_level(other)) == (one == other)
