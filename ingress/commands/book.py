"""Which commands are to be sent, by whom, and which are over: a fold over the two topics. Pure.

Every instance reads both topics and keeps a book of its own. The log decides between them: the
first record that the results topic holds of a command says which instance sends it. So a command
is sent once at most, whichever instances hold a connection of its charge point, and whenever one of
them dies.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from schemas.commands import Command, CommandResult

MICROS: Final = 1_000_000
MAX_LIFETIME_S: Final = 24 * 3600
"""A command that would live longer expires then: what is older need not be read at a start."""
REMEMBERED_S: Final = 2 * MAX_LIFETIME_S
"""How long a command's id is known for one that was seen."""


class _Entry(msgspec.Struct):
    """What is known of one command id.

    Attributes:
        command: None where only a result was seen so far: the topics are read independently.
        decided: The first record of the results topic.
        final: The first record with a final outcome.
    """

    command: Command | None = None
    decided: CommandResult | None = None
    final: CommandResult | None = None


class CommandBook:
    """The commands of the last two days."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # Commands that nobody has taken, by charge point, in the order of the log.
        self._waiting: dict[str, dict[str, Command]] = {}
        self._unanswered: dict[str, CommandResult] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def take_command(self, command: Command) -> None:
        """The next record of the commands topic; one with a known id changes nothing."""
        entry = self._entries.setdefault(command.command_id, _Entry())
        if entry.command is not None:
            return
        limit = command.issued_at + MAX_LIFETIME_S * MICROS
        if command.expires_at > limit:
            command = replace(command, expires_at=limit)
        entry.command = command
        if entry.decided is None:
            self._waiting.setdefault(command.client_id, {})[command.command_id] = command

    def take_result(self, result: CommandResult) -> None:
        """The next record of the results topic."""
        entry = self._entries.setdefault(result.command_id, _Entry())
        if entry.decided is None:
            entry.decided = result
            self._forget_waiting(result.client_id, result.command_id)
            if not result.is_final:
                self._unanswered[result.command_id] = result
        if result.is_final and entry.final is None:
            entry.final = result
            self._unanswered.pop(result.command_id, None)

    def is_taken_by(self, command_id: str) -> str | None:
        """The instance whose record decided; None as long as there is none."""
        entry = self._entries.get(command_id)
        return None if entry is None or entry.decided is None else entry.decided.instance

    def next_for(self, client_id: str, now: int) -> Command | None:
        """The oldest command for a charge point that nobody has taken and that may still be sent.

        Args:
            client_id: The charge point's identity.
            now: Unix microseconds.
        """
        waiting = self._waiting.get(client_id, {})
        return next((command for command in waiting.values() if now < command.expires_at), None)

    def expired(self, now: int) -> Iterator[Command]:
        """Commands that nobody took in time, and whose result is still to be written."""
        for waiting in self._waiting.values():
            yield from (command for command in waiting.values() if command.expires_at <= now)

    def unanswered(self, since: int) -> Iterator[CommandResult]:
        """The `sent` records up to `since` (Unix microseconds) after which no result came."""
        return (sent for sent in self._unanswered.values() if sent.at <= since)

    def forget(self, now: int) -> None:
        """Drop what is too old to matter."""
        limit = now - REMEMBERED_S * MICROS
        for command_id, entry in list(self._entries.items()):
            times = [entry.command.issued_at] if entry.command is not None else []
            times += [result.at for result in (entry.decided, entry.final) if result is not None]
            if max(times) < limit and command_id not in self._unanswered:
                del self._entries[command_id]
                if entry.command is not None:
                    self._forget_waiting(entry.command.client_id, command_id)

    def _forget_waiting(self, client_id: str, command_id: str) -> None:
        waiting = self._waiting.get(client_id)
        if waiting is not None:
            waiting.pop(command_id, None)
            if not waiting:
                del self._waiting[client_id]
