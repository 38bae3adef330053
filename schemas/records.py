"""The smaller records: `DeadLetter` (csms.dead-letter) and `TransactionIdRequest`."""

import hashlib

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where an indigestible record lies and why it could not be digested."""

    stage: str
    topic: str
    partition: int
    offset: int
    client_id: str | None
    reason: str
    traceback_hash: str | None = None


class TransactionIdRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Asks the log for an OCPP 1.6 transactionId (offset + 1 of the first record with this key)."""

    client_id: str
    connector_id: int
    id_tag: str
    meter_start: int
    timestamp: str

    def fingerprint(self) -> str:
        """Key of the record: equal for retries of the same StartTransaction, 64 hex digits."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()
