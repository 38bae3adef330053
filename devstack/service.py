"""A service of Chargelog as a child process, configured by environment variables alone."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from devstack.process import LOCALHOST, LocalProcess

_TIMEOUT_S: Final = 2.0


class Service(LocalProcess):
    """`python -m <module>`; ready once its /readyz says so.

    Args:
        module: `ingress`, `processor`, `egress` or `page`.
        directory: Where its log goes.
        ops_port: Port of /readyz on the loopback interface.
        variables: Environment variables besides this process's own.

    Attributes:
        ops_port: As given.
    """

    stop_timeout = 30.0  # above the services' own limits for draining

    def __init__(
        self, module: str, directory: Path, ops_port: int, variables: Mapping[str, str]
    ) -> None:
        super().__init__(module, directory)
        self.ops_port = ops_port
        self._variables = variables

    def command(self) -> Sequence[str]:
        """The module, as under a supervisor."""
        return (sys.executable, "-m", self.name)

    def environment(self) -> Mapping[str, str]:
        """This process's environment and the given variables; what is written goes to `directory`.

        APP_DATADIR is Faust's: it makes that directory, in the working directory by default.
        """
        home = self.directory.resolve()
        places = {"TMPDIR": str(home), "APP_DATADIR": str(home / f"{self.name}-data")}
        return {**os.environ, **places, **self._variables}

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        connection = http.client.HTTPConnection(LOCALHOST, self.ops_port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
