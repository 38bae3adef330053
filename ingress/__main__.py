"""`chargelog-ingress`: the OCPP websocket server."""

import sys

import uvloop

from ingress.errors import AuthorizationFileError
from ingress.service import run
from ingress.settings import IngressSettings
from runtime.logs import configure
from runtime.settings import EXIT_USAGE, load
from schemas.errors import TopicError


def main() -> int:
    """Serve until SIGTERM; exit 2 on wrong settings, 1 where it can't start."""
    settings = load(
        IngressSettings,
        prog="chargelog-ingress",
        description="Accept charge points (OCPP-J) and put their frames on Kafka.",
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
