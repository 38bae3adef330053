"""OCPP 1.6 with the security extension (OCPP 1.6 §4; security whitepaper edition 3 §4, §5)."""

import re
from collections.abc import Callable, Mapping
from reprlib import repr as shown
from typing import Any, Final

from ingress.errors import UnanswerableError
from ingress.protocol import answers
from ingress.protocol.validation import Validator, load_schema
from ingress.protocol.version import Action, Command, ErrorCodes, Facts, Needs, Payload, Version
from schemas.records import TransactionIdRequest

PROTOCOL: Final = "ocpp1.6"
_SCHEMAS: Final = "ocpp.v16.schemas"
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_INT64: Final = range(-(2**63), 2**63)

CODES: Final = ErrorCodes(
    # OCPP-J 1.6 §4.2.3; spelt as there, where later versions say FormatViolation.
    malformed="FormationViolation",
    # 1.6 has no answer to a message without a readable id.
    unreadable=None,
    # OCPP-J 1.6 §4.1.3: the receiver ignores message types that it does not know.
    unknown_message_type=None,
    unknown_action="NotImplemented",
    wrong_direction="NotSupported",
    incomplete="ProtocolError",
    internal="InternalError",
)

KEYWORD_CODES: Final[Mapping[str, str]] = {
    "required": "ProtocolError",  # "payload is incomplete"
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
    "minItems": "OccurenceConstraintViolation",  # sic: 1.6 spells it with one r
    "maxItems": "OccurenceConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "format": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "multipleOf": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
}

_CENTRAL_SYSTEM_ACTIONS: Final = (
    "CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration",
    "ClearCache", "ClearChargingProfile", "DataTransfer", "DeleteCertificate",
    "ExtendedTriggerMessage", "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics",
    "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "InstallCertificate",
    "RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList",
    "SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage", "UnlockConnector",
    "UpdateFirmware",
)  # fmt: skip


def _authorize(facts: Facts) -> Payload:
    return {"idTagInfo": _id_tag_info(facts)}


def _start_transaction(facts: Facts) -> Payload:
    return {"transactionId": facts.transaction_id, "idTagInfo": _id_tag_info(facts)}


def _stop_transaction(facts: Facts) -> Payload:
    return {} if facts.authorization is None else {"idTagInfo": _id_tag_info(facts)}


def _id_tag_info(facts: Facts) -> Payload:
    if facts.authorization is None:
        raise ValueError("the answer needs an authorization")
    return {"status": facts.authorization.status}


def _authorize_needs(_: str, payload: Payload) -> Needs:
    return Needs(id_tag=_text(payload, "idTag"))


def _start_needs(client_id: str, payload: Payload) -> Needs:
    id_tag = _text(payload, "idTag")
    return Needs(
        id_tag=id_tag,
        transaction=TransactionIdRequest(
            client_id=client_id,
            connector_id=_integer(payload, "connectorId"),
            id_tag=id_tag,
            meter_start=_integer(payload, "meterStart"),
            timestamp=_text(payload, "timestamp"),
        ),
    )


def _stop_needs(_: str, payload: Payload) -> Needs:
    # Optional here; one that is no text is as good as none: the answer goes without idTagInfo.
    id_tag = payload.get("idTag")
    return Needs(id_tag=id_tag if isinstance(id_tag, str) else None)


def _text(payload: Payload, field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str):
        raise UnanswerableError(f"{field} must be a text, got {shown(value):.40}")
    return value


def _integer(payload: Payload, field: str) -> int:
    """The field as an integer; also `1.0` and `"1"`, which some firmware sends (lenient mode)."""
    value: Any = payload.get(field)
    number: int | None = None
    if type(value) is int:  # bool is an int in Python
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and _INTEGER.fullmatch(value)
    ):
        number = int(value)
    if number is None or number not in _INT64:
        raise UnanswerableError(f"{field} must be an integer, got {shown(value):.40}")
    return number


_ANSWERS: Final[Mapping[str, Callable[[Facts], Payload]]] = {
    "Authorize": _authorize,
    "BootNotification": answers.boot_notification,
    "DataTransfer": answers.data_transfer,
    "DiagnosticsStatusNotification": answers.empty,
    "FirmwareStatusNotification": answers.empty,
    "Heartbeat": answers.heartbeat,
    "LogStatusNotification": answers.empty,
    "MeterValues": answers.empty,
    "SecurityEventNotification": answers.empty,
    "SignCertificate": answers.rejected,  # there is no certificate authority here
    "SignedFirmwareStatusNotification": answers.empty,
    "StartTransaction": _start_transaction,
    "StatusNotification": answers.empty,
    "StopTransaction": _stop_transaction,
}

_NEEDS: Final[Mapping[str, Callable[[str, Payload], Needs]]] = {
    "Authorize": _authorize_needs,
    "StartTransaction": _start_needs,
    "StopTransaction": _stop_needs,
}


def _validator(name: str) -> Validator:
    return Validator(load_schema(_SCHEMAS, name), KEYWORD_CODES, CODES.malformed)


OCPP16: Final = Version(
    protocol=PROTOCOL,
    codes=CODES,
    from_charge_point={
        name: Action(
            request=_validator(name),
            response=_validator(f"{name}Response"),
            answer=answer,
            needs=_NEEDS.get(name),
        )
        for name, answer in _ANSWERS.items()
    },
    from_central_system={
        name: Command(_validator(name), _validator(f"{name}Response"))
        for name in _CENTRAL_SYSTEM_ACTIONS
    },
)
