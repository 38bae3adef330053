"""The README's code blocks, for the tests that pin them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(language: str) -> list[str]:
    """Contents of the README's code blocks of this language, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def masked(line: str) -> str:
    """The line without what differs from run to run: numbers, message ids."""
    return re.sub(r"[0-9]+(\.[0-9]+)?", "0", re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "id", line))
