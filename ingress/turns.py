"""Whose turn it is with a connection: a frame's, a command's, the goodbye's."""

import asyncio
from collections.abc import Callable


class Turns:
    """A lock that can also be taken without a task: at once, or not at all.

    Whoever awaits it is served first, in the order of asking.

    Args:
        free: Called each time that nobody has it, nor waits for it, any longer.
    """

    __slots__ = (
        "_free",
        "_waiting",
        "taken",
    )

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._waiting: list[asyncio.Future[None]] = []
        self.taken = False

    def take(self) -> bool:
        """Take the turn, if it is nobody's; False: it is."""
        if self.taken:
            return False
        self.taken = True
        return True

    def give_back(self) -> None:
        """End the turn."""
        while self._waiting:
            first = self._waiting.pop(0)
            if not first.done():
                first.set_result(None)
                return
        self.taken = False
        self._free()

    async def __aenter__(self) -> None:
        if not self.taken:
            self.taken = True
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back()  # it came together with the cancellation
            raise

    async def __aexit__(self, *_: object) -> None:
        self.give_back()
