"""Who is connected: at most one connection for each identity, the newest."""

from typing import Generic, TypeVar

C = TypeVar("C")


class Connections(Generic[C]):
    """Identity → its newest connection.

    A charge point that lost its network reconnects while its old socket still looks alive here
    (ocpp-go#314, #358): the new connection wins, and the old one's end must not remove it.
    """

    def __init__(self) -> None:
        self._current: dict[str, C] = {}

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, identity: str) -> bool:
        return identity in self._current

    def claim(self, identity: str, connection: C) -> C | None:
        """Enter a connection; returns the one that it replaces, for the caller to close."""
        replaced = self._current.get(identity)
        self._current[identity] = connection
        return replaced

    def release(self, identity: str, connection: C) -> None:
        """Take a connection out, unless a newer one has its place."""
        if self._current.get(identity) is connection:
            del self._current[identity]

    def all(self) -> list[C]:
        """The connections now."""
        return list(self._current.values())
