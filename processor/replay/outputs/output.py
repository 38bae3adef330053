"""What every output does."""

from typing import Protocol

from schemas.events import BusinessEvent


class Output(Protocol):
    """Takes the events of one lane."""

    def write(self, events: list[BusinessEvent]) -> None:
        """Take events, in order.

        Raises:
            ReplayError: They could not be written.
        """

    def checkpoint(self) -> bytes:
        """Make what was taken durable; returns what the output needs to go on from here."""

    def close(self) -> None:
        """Make what was taken durable, and end."""


class Nowhere:
    """Takes events and keeps none: for counts only."""

    def write(self, events: list[BusinessEvent]) -> None:
        """Nothing."""

    def checkpoint(self) -> bytes:
        """Nothing to remember."""
        return b""

    def close(self) -> None:
        """Nothing."""
