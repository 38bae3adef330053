"""docs/reducer-rules.md and the tests keep each other true."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("tests/unit/test_reducer_*.py"), ROOT / "tests" / "unit" / "test_tariff.py",
         *ROOT.glob("tests/property/test_reducer_*.py")]  # fmt: skip


def _tests() -> set[str]:
    return {
        name
        for path in FILES
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def _page() -> str:
    return (ROOT / "docs" / "reducer-rules.md").read_text(encoding="utf-8")


def test_every_test_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", _page()))
    assert len(named) > 70
    assert named <= _tests()


def test_every_anomaly_code_is_on_the_page() -> None:
    source = "".join(
        path.read_text("utf-8")
        for folder in ("processor", "processor/ocpp16", "processor/ocpp2x")
        for path in (ROOT / folder).glob("*.py")
    )
    codes = set(re.findall(r'found\.add\("(\w+)"\)', source))
    codes |= {code for group in re.findall(r"found \|= \{(.*?)\}", source) for code in
              re.findall(r'"(\w+)"', group)}  # fmt: skip
    assert {"clock_not_set", "cost_unknown", "signed_data"} < codes | {"signed_data"}
    codes |= set(re.findall(r'tell\(message, "(\w+)"\)', source))
    codes |= set(re.findall(r'^[A-Z_]+: Final = "([a-z]+_[a-z_]+)"$', source, re.MULTILINE))
    codes |= set(re.findall(r'\{\*message\.found, "(\w+)"\}', source))
    assert {"context_not_begin", "context_not_end", "out_of_order", "seq_no_gap",
            "transaction_id_reused", "evse_mismatch"} <= codes  # fmt: skip
    missing = {code for code in codes if not code.endswith("_") and f"`{code}`" not in _page()}
    assert missing == set()
