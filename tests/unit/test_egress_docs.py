"""docs/mqtt.md names settings and tests that exist."""

import re
from pathlib import Path

from egress.settings import EgressSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/mqtt.md").read_text(encoding="utf-8")


def test_settings_of_the_page_are_those_of_the_code() -> None:
    own = {
        name.upper()
        for name in EgressSettings.model_fields
        if name.startswith(("mqtt_", "egress_"))
    }
    assert set(re.findall(r"`((?:MQTT|EGRESS)_[A-Z_]+)(?:=[^`]*)?`", PAGE)) == own


def test_tests_of_the_page_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    written = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "tests/integration").glob("test_egress_*.py")
    )
    assert named
    assert {name for name in named if f"def {name}(" not in written} == set()
