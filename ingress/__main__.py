"""`chargelog-ingress`: the OCPP websocket server."""

import sys
from collections.abc import Callable, Mapping
from typing import Final

import uvloop

from ingress import call
from ingress.errors import AuthorizationFileError
from ingress.service import run
from ingress.settings import IngressSettings
from runtime.logs import configure
from runtime.settings import EXIT_USAGE, load
from schemas.errors import TopicError

_COMMANDS: Final[Mapping[str, Callable[[list[str]], int]]] = {"call": call.main}
"""The first word after `chargelog-ingress` → what it does; none: serve."""


def main() -> int:
    """Serve until SIGTERM; exit 2 on wrong settings, 1 where it can't start."""
    command = _COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if command is not None:
        return command(sys.argv[2:])
    settings = load(
        IngressSettings,
        prog="chargelog-ingress",
        description="Accept charge points (OCPP-J) and put their frames on Kafka.\n\n"
        "`chargelog-ingress call --help`: send a command to a charge point.",
    )
    configure(settings.log_level, settings.log_format)
    try:
        uvloop.run(run(settings))
    except AuthorizationFileError as error:
        sys.stderr.write(f"chargelog-ingress: INGRESS_AUTHORIZATION_FILE: {error}\n")
        return EXIT_USAGE
    except (TopicError, OSError) as error:
        sys.stderr.write(f"chargelog-ingress: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
