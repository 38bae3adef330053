"""The tree of errors. Each says what happened, whose fault it is and what to do.

ChargelogError
├── CodecError            a record's bytes are not what its topic promises
│   └── UnknownSchemaError    written with a schema that this build does not know
├── RegistryError         the schema registry does not answer, or refuses; try again
├── MalformedFrameError   a charge point or central system sent no OCPP-J message
│   └── UnknownMessageTypeError   an array with an unknown message type
├── TimestampError        a text is no RFC 3339 / ISO 8601 date-time
└── TopicError            a Kafka topic is missing or has other settings than the contract
"""


class ChargelogError(Exception):
    """Base of every error that Chargelog raises on purpose."""


class CodecError(ChargelogError):
    """A record could not be encoded or decoded."""


class UnknownSchemaError(CodecError):
    """The record names a writer schema that is neither built in nor in the registry."""


class RegistryError(ChargelogError):
    """The schema registry can't be reached or refuses; no record is at fault."""


class MalformedFrameError(ChargelogError):
    """The peer's text is not an OCPP-J message (OCPP-J 1.6 §4.2).

    Attributes:
        message_id: The message's id where it could still be read, so that it can be answered.
    """

    def __init__(self, reason: str, message_id: str | None = None) -> None:
        super().__init__(reason)
        self.message_id = message_id


class UnknownMessageTypeError(MalformedFrameError):
    """The array's first element is no message type of the negotiated version."""


class TimestampError(ChargelogError, ValueError):
    """A timestamp can't be read."""


class TopicError(ChargelogError):
    """A topic is missing, or its settings break the contract."""
