"""OCPP 2.1: 2.0.1's messages and its own, SEND, and CALLRESULTERROR (Part 4 §4.2.3, §4.2.4)."""

from typing import Final

import msgspec

from ingress.protocol import answers, ocpp2
from ingress.protocol.version import Facts, Payload, Version

_SCHEMAS: Final = "ocpp.v21.schemas"

CODES: Final = msgspec.structs.replace(
    ocpp2.CODES_201,
    # Part 4 §4.1.3, §4.4 (updated in 2.1): ignored; the errata of 2026-06 deprecate the code
    # MessageTypeNotSupported.
    unknown_message_type=None,
)


def _no_charging_profile(_: Facts) -> Payload:
    # A status that is new in 2.1: the EV may charge, and gets no schedule from here.
    return {"status": "NoChargingProfile"}


def _certificate_chain_status(facts: Facts) -> Payload:
    # No OCSP responder or revocation list is asked here, which `Failed` says for each.
    return {
        "certificateStatus": [
            {
                "certificateHashData": request["certificateHashData"],
                "source": request["source"],
                "status": "Failed",
                "nextUpdate": answers.current_time(facts),
            }
            for request in facts.request["certificateStatusRequests"]
        ]
    }


def _vat_number_validation(facts: Facts) -> Payload:
    # Nobody is asked here whether the number is valid.
    repeated = {k: v for k, v in facts.request.items() if k in {"vatNumber", "evseId"}}
    return {"status": "Rejected", **repeated}


def _stream_accepted(_: Facts) -> Payload:
    # A stream is as welcome as any frame: its SENDs are kept on the log.
    return {"status": "Accepted"}


_ANSWERS: Final[ocpp2.Answers] = {
    **ocpp2.ANSWERS,
    "BatterySwap": answers.empty,
    "ClosePeriodicEventStream": answers.empty,
    "GetCertificateChainStatus": _certificate_chain_status,
    "NotifyDERAlarm": answers.empty,
    "NotifyDERStartStop": answers.empty,
    "NotifyEVChargingNeeds": _no_charging_profile,
    "NotifyPriorityCharging": answers.empty,
    "NotifySettlement": answers.empty,
    "OpenPeriodicEventStream": _stream_accepted,
    "PullDynamicScheduleUpdate": answers.rejected,
    "ReportDERControl": answers.empty,
    "VatNumberValidation": _vat_number_validation,
}

_COMMANDS: Final = (
    *ocpp2.COMMANDS,
    "AFRRSignal", "AdjustPeriodicEventStream", "ChangeTransactionTariff", "ClearDERControl",
    "ClearTariffs", "GetDERControl", "GetPeriodicEventStream", "GetTariffs",
    "NotifyAllowedEnergyTransfer", "NotifyWebPaymentStarted", "RequestBatterySwap",
    "SetDERControl", "SetDefaultTariff", "UpdateDynamicSchedule", "UsePriorityCharging",
)  # fmt: skip

OCPP21: Final = Version(
    protocol="ocpp2.1",
    codes=CODES,
    from_charge_point=ocpp2.actions(
        _SCHEMAS, _ANSWERS, {"GetCertificateChainStatus", "VatNumberValidation"}
    ),
    from_central_system=ocpp2.commands(_SCHEMAS, _COMMANDS),
    sends={name: ocpp2.validator(_SCHEMAS, name) for name in ("NotifyPeriodicEventStream",)},
    objects_to_results=True,
)
