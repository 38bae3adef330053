"""The OCPP versions that the ingress speaks, best first: subprotocol → table row."""

from collections.abc import Mapping, Sequence
from typing import Final

from ingress.ocpp16 import OCPP16
from ingress.version import Version

VERSIONS: Final[Mapping[str, Version]] = {row.protocol: row for row in (OCPP16,)}


def choose(offered: Sequence[str]) -> str | None:
    """The best subprotocol that the charge point offers too; None if there is none.

    Names are compared as registered with IANA: lower case, exact.
    """
    return next((protocol for protocol in VERSIONS if protocol in offered), None)
