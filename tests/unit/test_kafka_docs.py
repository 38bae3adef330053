"""docs/kafka.md against the settings and the names it is about."""

import re
from pathlib import Path

from egress.worker import GROUP
from runtime.settings import KafkaSettings
from schemas.topics import TopicNames

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kafka.md").read_text(encoding="utf-8")


def test_settings_of_the_page_are_those_of_the_code() -> None:
    own = {name.upper() for name in KafkaSettings.model_fields if name.startswith("kafka_")}
    assert set(re.findall(r"\b(KAFKA_[A-Z_]+)\b", PAGE)) == own


def test_topics_and_groups_of_the_page_are_those_of_the_code() -> None:
    names = TopicNames("")
    topics = {names.frames, names.events, names.dead_letter, names.transaction_ids}
    topics |= {names.commands, names.command_results}
    assert set(re.findall(r"`((?:ocpp|csms)\.[a-z-]+)`", PAGE)) == topics
    for group in (GROUP, names.processor_app_id):
        assert f"`{group}`" in PAGE
