"""Answers that OCPP 1.6, 2.0.1 and 2.1 have in common."""

from ingress.protocol.version import Facts, Payload
from schemas.timestamps import format_micros


def empty(_: Facts) -> Payload:
    """Of every action that only tells something."""
    return {}


def boot_notification(facts: Facts) -> Payload:
    """Every charge point that gets this far is accepted."""
    return {
        "status": "Accepted",
        "currentTime": current_time(facts),
        "interval": facts.heartbeat_interval_s,
    }


def heartbeat(facts: Facts) -> Payload:
    """The time, by which charge points set their clocks."""
    return {"currentTime": current_time(facts)}


def data_transfer(_: Facts) -> Payload:
    """The status for a vendor whose extension the recipient does not implement (1.6 §4.3, P01)."""
    return {"status": "UnknownVendorId"}


def rejected(_: Facts) -> Payload:
    """Of a request for something that this central system does not do."""
    return {"status": "Rejected"}


def current_time(facts: Facts) -> str:
    """Milliseconds, as in the specification's examples; some firmware reads no more digits."""
    return format_micros(facts.now_ns // 1000)[:-4] + "Z"
