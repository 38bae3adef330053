"""`chargelog-ingress`: the OCPP websocket server, and its tools."""

import gc
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import uvloop

from ingress.commands import call
from ingress.errors import SettingFileError
from ingress.security import password_command
from ingress.service import run
from ingress.settings import IngressSettings
from runtime.logs import configure
from runtime.settings import EXIT_USAGE, load
from schemas.errors import TopicError

_COMMANDS: Final[Mapping[str, Callable[[list[str]], int]]] = {
    "call": call.main,
    "password": password_command.main,
}
"""The first word after `chargelog-ingress` → what it does; none: serve."""
_GC_THRESHOLDS: Final = (50_000, 20, 100)
"""Each collection walks what thousands of connections hold, none of it garbage: CPython's default
of one for each 700 new objects took a third of a frame's processor time."""


def main() -> int:
    """Run the command that is named first, or serve."""
    command = _COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        return serve() if command is None else command(sys.argv[2:])
    except SettingFileError as error:
        sys.stderr.write(f"chargelog-ingress: {error.variable}: {error}\n")
        return EXIT_USAGE


def serve() -> int:
    """Serve until SIGTERM; exit 2 on wrong settings, 1 where it can't start."""
    settings = load(
        IngressSettings,
        prog="chargelog-ingress",
        description="Accept charge points (OCPP-J) and put their frames on Kafka.\n\n"
        "`chargelog-ingress call --help`: send a command to a charge point.\n"
        "`chargelog-ingress password --help`: keep the charge points' passwords.",
    )
    configure(settings.log_level, settings.log_format)
    gc.set_threshold(*_GC_THRESHOLDS)
    # The soft limit of files is 1,024 on most systems, for the sake of programs that use select().
    # macOS refuses a soft limit without end.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(run(settings))
    except (TopicError, OSError) as error:
        sys.stderr.write(f"chargelog-ingress: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
