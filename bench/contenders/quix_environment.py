"""The environment in which the Quix contender runs, made when it is first needed."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_HOME: Final = _ROOT / ".venv-quix"
_REQUIREMENTS: Final = Path(__file__).with_name("quix.txt")


def quix_python() -> str:
    """Path of its interpreter; makes the environment where it is not there or has changed."""
    python = _HOME / "bin" / "python"
    installed = _HOME / "installed.txt"
    wanted = _REQUIREMENTS.read_text(encoding="utf-8")
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print(f"# setting up {_HOME.name} for Quix Streams (once; takes a minute)", file=sys.stderr)
        venv.create(_HOME, with_pip=True, clear=True)
        subprocess.run(  # noqa: S603 - our own command
            [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check",
             "-r", _REQUIREMENTS],
            check=True,
        )  # fmt: skip
        installed.write_text(wanted, encoding="utf-8")
    return str(python)
