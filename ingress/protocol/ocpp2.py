"""What OCPP 2.0.1 and 2.1 have in common: error codes, answers, and how a row is put together."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ingress.errors import UnanswerableError
from ingress.protocol import answers
from ingress.protocol.validation import Validator, load_schema
from ingress.protocol.version import (
    Action,
    Authorization,
    Command,
    ErrorCodes,
    Facts,
    Needs,
    Payload,
)

Answers = Mapping[str, Callable[[Facts], Payload]]

CODES_201: Final = ErrorCodes(
    # Part 4 §4.3: spelt without the "ion" in the middle that 1.6 has.
    malformed="FormatViolation",
    # Part 4 §4.3: "not a valid RPC Request, for example: MessageId could not be read".
    unreadable="RpcFrameworkError",
    # OCPP 2.0.1 Part 4 §4.3, §4.4.
    unknown_message_type="MessageTypeNotSupported",
    unknown_action="NotImplemented",
    wrong_direction="NotSupported",
    incomplete="OccurrenceConstraintViolation",
    internal="InternalError",
)

KEYWORD_CODES: Final[Mapping[str, str]] = {
    # A field of cardinality 1..1 that is missing; 1.6 has "incomplete" (ProtocolError) for it.
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormatViolation",
    "enum": "PropertyConstraintViolation",
    "format": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
}
"""JSON Schema keyword → code; the schemas of 2.0.1 and 2.1 use no other (Part 4 §4.3)."""

_ACCEPTED: Final = Authorization("Accepted")


def _authorize(facts: Facts) -> Payload:
    if facts.authorization is None:
        raise ValueError("the answer needs an authorization")
    return {"idTokenInfo": {"status": facts.authorization.status}}


def _transaction_event(facts: Facts) -> Payload:
    # With the idToken's status where one was sent. No totalCost: prices are the processor's, made
    # from the log.
    return {} if facts.authorization is None else _authorize(facts)


def _failed(_: Facts) -> Payload:
    return {"status": "Failed"}


def _ev_certificate(_: Facts) -> Payload:
    # M01, M02: there is no contract certificate pool behind this central system.
    return {"status": "Failed", "exiResponse": ""}


def _accepted(_: Facts) -> Payload:
    return {"status": "Accepted"}


ANSWERS: Final[Answers] = {
    "Authorize": _authorize,
    "BootNotification": answers.boot_notification,
    "ClearedChargingLimit": answers.empty,
    "DataTransfer": answers.data_transfer,
    "FirmwareStatusNotification": answers.empty,
    "Get15118EVCertificate": _ev_certificate,
    "GetCertificateStatus": _failed,
    "Heartbeat": answers.heartbeat,
    "LogStatusNotification": answers.empty,
    "MeterValues": answers.empty,
    "NotifyChargingLimit": answers.empty,
    "NotifyCustomerInformation": answers.empty,
    "NotifyDisplayMessages": answers.empty,
    # K15: no schedule is made here.
    "NotifyEVChargingNeeds": answers.rejected,
    # K17: the message was taken, and nothing here objects to the EV's schedule.
    "NotifyEVChargingSchedule": _accepted,
    "NotifyEvent": answers.empty,
    "NotifyMonitoringReport": answers.empty,
    "NotifyReport": answers.empty,
    "PublishFirmwareStatusNotification": answers.empty,
    "ReportChargingProfiles": answers.empty,
    "ReservationStatusUpdate": answers.empty,
    "SecurityEventNotification": answers.empty,
    "SignCertificate": answers.rejected,
    "StatusNotification": answers.empty,
    "TransactionEvent": _transaction_event,
}

COMMANDS: Final = (
    "CancelReservation", "CertificateSigned", "ChangeAvailability", "ClearCache",
    "ClearChargingProfile", "ClearDisplayMessage", "ClearVariableMonitoring", "CostUpdated",
    "CustomerInformation", "DataTransfer", "DeleteCertificate", "GetBaseReport",
    "GetChargingProfiles", "GetCompositeSchedule", "GetDisplayMessages",
    "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "GetMonitoringReport",
    "GetReport", "GetTransactionStatus", "GetVariables", "InstallCertificate", "PublishFirmware",
    "RequestStartTransaction", "RequestStopTransaction", "ReserveNow", "Reset", "SendLocalList",
    "SetChargingProfile", "SetDisplayMessage", "SetMonitoringBase", "SetMonitoringLevel",
    "SetNetworkProfile", "SetVariableMonitoring", "SetVariables", "TriggerMessage",
    "UnlockConnector", "UnpublishFirmware", "UpdateFirmware",
)  # fmt: skip


def _authorize_needs(_: str, payload: Payload) -> Needs:
    needs = _token_needs(payload)
    if needs == Needs():
        raise UnanswerableError("idToken must be an object with a text idToken")
    return needs


def _transaction_event_needs(_: str, payload: Payload) -> Needs:
    # Optional here; one that can't be read is as good as none: the answer goes without its status.
    return _token_needs(payload)


def _token_needs(payload: Payload) -> Needs:
    token = payload.get("idToken")
    if not isinstance(token, dict):
        return Needs()
    if token.get("type") == "NoAuthorization":
        # Use case C02: a session that a button starts is accepted without asking.
        return Needs(authorization=_ACCEPTED)
    text = token.get("idToken")
    return Needs(id_tag=text) if isinstance(text, str) else Needs()


_NEEDS: Final[Mapping[str, Callable[[str, Payload], Needs]]] = {
    "Authorize": _authorize_needs,
    "TransactionEvent": _transaction_event_needs,
}


def validator(package: str, name: str) -> Validator:
    """The validator of one message, e.g. ("ocpp.v201.schemas", "HeartbeatRequest")."""
    return Validator(load_schema(package, name), KEYWORD_CODES, CODES_201.malformed)


def actions(package: str, rows: Answers, repeats_request: Iterable[str] = ()) -> dict[str, Action]:
    """Answers → the rows of the version whose schemas lie in `package`."""
    return {
        name: Action(
            request=validator(package, f"{name}Request"),
            response=validator(package, f"{name}Response"),
            answer=answer,
            needs=_NEEDS.get(name),
            repeats_request=name in repeats_request,
        )
        for name, answer in rows.items()
    }


def commands(package: str, names: Iterable[str]) -> dict[str, Command]:
    """Actions of the central system → the rows of the version whose schemas are in `package`."""
    return {
        name: Command(validator(package, f"{name}Request"), validator(package, f"{name}Response"))
        for name in names
    }
