"""egress.properties against paho's own reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from egress.properties import publish_properties

# MQTT strings hold no NUL and no surrogates (MQTT 5 §1.5.4).
TEXTS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=60)


@given(user=st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_paho_reads_what_was_packed(user: list[tuple[str, str]]) -> None:
    packed = publish_properties(tuple(user))
    read = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
    _, length = read.unpack(packed)  # type: ignore[no-untyped-call] # paho's
    assert length == len(packed)
    expected = {"PayloadFormatIndicator": 1, "ContentType": "application/json"}
    assert read.json() == expected | ({"UserProperty": user} if user else {})  # type: ignore[no-untyped-call] # paho's


def test_text_that_mqtt_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        publish_properties((("violation", "x" * 65_536),))
