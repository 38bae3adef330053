"""OCPP 2.0.1 (Part 2: the messages; Part 4: OCPP-J)."""

from typing import Final

from ingress.protocol import ocpp2
from ingress.protocol.version import Version

_SCHEMAS: Final = "ocpp.v201.schemas"

OCPP201: Final = Version(
    protocol="ocpp2.0.1",
    codes=ocpp2.CODES_201,
    from_charge_point=ocpp2.actions(_SCHEMAS, ocpp2.ANSWERS),
    from_central_system=ocpp2.commands(_SCHEMAS, ocpp2.COMMANDS),
)
