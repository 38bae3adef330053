"""How far a partition has been delivered without a gap. Pure.

Acknowledgements may come in any order (a dead letter is written beside the stream), but an offset
may only be committed when every record before it is settled too: a restart begins there.
"""

from collections import deque


class Watermark:
    """One partition's records between reading and committing.

    Offsets need not be consecutive: a compacted or transactional log has holes.
    """

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._settled: set[int] = set()
        self._position: int | None = None
        self.settled = 0
        """Number of records that the position has passed."""

    @property
    def position(self) -> int | None:
        """The offset to commit: one past the last record of the settled run; None before any."""
        return self._position

    @property
    def first_pending(self) -> int | None:
        """The first offset that is not settled."""
        return self._pending[0] if self._pending else self._position

    @property
    def pending(self) -> int:
        """Number of records that hold the position back, or lie behind one that does."""
        return len(self._pending)

    def add(self, offset: int) -> None:
        """A record was read.

        Raises:
            ValueError: Its offset is not above every offset added before.
        """
        last = self._pending[-1] if self._pending else (self._position or 0) - 1
        if offset <= last:
            raise ValueError(f"offset {offset} after {last}: records must be added in log order")
        self._pending.append(offset)

    def settle(self, offset: int) -> None:
        """A record was acknowledged or put away for good; a second time changes nothing."""
        if not self._pending or offset < self._pending[0]:
            return
        self._settled.add(offset)
        while self._pending and self._pending[0] in self._settled:
            done = self._pending.popleft()
            self._settled.remove(done)
            self._position = done + 1
            self.settled += 1
