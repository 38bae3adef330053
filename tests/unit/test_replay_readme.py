"""The README's replay of the sample log, the sample itself, and docs/replay.md's Python."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

from readme import ROOT, blocks
from replay_kit import replay

from processor.replay.command_line import EXIT_CODES


def shown_after(command: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition(f"\n{command}\n```\n\n```text\n")[2]
    assert shown
    return shown.partition("```\n")[0]


def test_the_readmes_examples_print_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if "examples/" in line]
    assert len(commands) == 2
    for command in commands:
        done = replay(*command.split()[1:], cwd=tmp_path)
        assert done.returncode == 4, done.stderr  # a line was cut
        assert done.stdout == shown_after(command)


def test_the_sample_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "examples" / "depot_day.py"))
    assert script["LOG"].read_text(encoding="utf-8") == script["day"]()


def test_the_page_names_every_exit_code() -> None:
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert named == re.findall(r"^ +(\d+) ", EXIT_CODES, re.MULTILINE)


def test_the_pages_python_prints_what_it_shows() -> None:
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    code, _, rest = page.partition("```python\n")[2].partition("```\n\n```text\n")
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == rest.partition("```\n")[0]
    assert "RejectedLinesWarning: 1 lines could not be used" in done.stderr
