"""What can go wrong with a replay as a whole, and with one line of a log."""

from schemas.errors import ChargelogError


class ReplayError(ChargelogError):
    """The run can't go on: a file, a topic or Kafka is not as it must be."""


class UsageError(ReplayError):
    """What was asked for makes no sense; the message says what to write instead."""


class Rejected(ChargelogError):  # noqa: N818 - one line's fate, not the program's
    """A line of a log is no frame that can be replayed.

    Attributes:
        reason: The kind of fault, to be counted.
        detail: What was wrong with this line.
        line: The line, where it is not kept elsewhere.
    """

    def __init__(self, reason: str, detail: str = "", line: bytes = b"") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.line = line


def said_by(error: OSError) -> str:
    """What the system refused, in one line."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
