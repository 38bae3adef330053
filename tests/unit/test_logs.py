import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, structlog
from runtime.logs import configure
configure("info", "json")
structlog.get_logger("service").info("frame logged", clientId="CP1")
logging.getLogger("library").warning("from %s", "a library")
logging.getLogger("library").debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("service").exception("failed")
"""


def test_own_and_library_lines_are_json_objects_on_standard_error() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    own, library, failure = (json.loads(line) for line in done.stderr.splitlines())
    assert (own["event"], own["clientId"], own["level"]) == ("frame logged", "CP1", "info")
    assert (library["event"], library["logger"]) == ("from a library", "library")
    assert failure["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert done.stdout == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variable(log_format: str) -> None:
    script = f"""
import structlog
from runtime.logs import configure
configure("info", "{log_format}")
def connect():
    password = "hunt" + "er2"
    1 / 0
try:
    connect()
except ZeroDivisionError:
    structlog.get_logger("service").exception("failed")
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "ZeroDivisionError" in done.stderr
    assert "hunter2" not in done.stderr
