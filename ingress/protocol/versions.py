"""The OCPP versions that the ingress speaks, newest first: subprotocol → table row."""

from collections.abc import Mapping, Sequence
from typing import Final

from ingress.protocol.ocpp16 import OCPP16
from ingress.protocol.ocpp21 import OCPP21
from ingress.protocol.ocpp201 import OCPP201
from ingress.protocol.version import Version

VERSIONS: Final[Mapping[str, Version]] = {row.protocol: row for row in (OCPP21, OCPP201, OCPP16)}

_ACTIONS: Final = frozenset().union(
    *(row.from_charge_point.keys() | row.from_central_system.keys() for row in VERSIONS.values()),
    *(row.sends for row in VERSIONS.values()),
)


def action_label(action: str | None) -> str:
    """An action as a metric's label: hostile names must not each make a time series."""
    return "" if action is None else action if action in _ACTIONS else "unknown"


def choose(offered: Sequence[str]) -> str | None:
    """The first subprotocol offered that is spoken here; None if there is none.

    A charge point lists its versions in the order of its preference (OCPP 2.1 Part 4 §3.1.2).
    Names are compared as registered with IANA: lower case, exact.
    """
    return next((protocol for protocol in offered if protocol in VERSIONS), None)
