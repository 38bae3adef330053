"""The one process of a run that reads the log files, and deals what it reads to the others.

Each process would else decompress and split all files to find its own charge points' lines. Of an
export's lines no more is looked at here than whose they are.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Final

from processor.replay.dealt import Block, Part, dealt, send, send_end
from processor.replay.job import FromFiles
from processor.replay.lanes import lane_of
from processor.replay.logs.entries import Stretch
from processor.replay.logs.merge import History
from processor.replay.logs.recognise import logs_of

_PIPE_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 1 << 18
_BLOCK_ENTRIES: Final = 1024


class _Hand:
    """What one process gets.

    Args:
        pipe: To the process.
        lanes: The process's.
    """

    def __init__(self, pipe: Connection, lanes: Sequence[int]) -> None:
        self._pipe = pipe
        self.parts = {number: Part([], []) for number in lanes}

    def send(self, upto: int, bytes_read: int, log: int) -> None:
        """Send what it was dealt, and how far the history is."""
        send(self._pipe, Block(upto, bytes_read, log, self.parts))
        for part in self.parts.values():
            part.lines.clear()
            part.entries.clear()

    def end(self) -> None:
        """Nothing more comes."""
        send_end(self._pipe)


class _PartOf(dict[str, Part]):
    """A charge point's part of the next block, remembered."""

    def __init__(self, hands: Sequence[_Hand], lanes: int) -> None:
        super().__init__()
        self.by_lane = {number: part for hand in hands for number, part in hand.parts.items()}
        self._lanes = lanes

    def __missing__(self, client_id: str) -> Part:
        part = self[client_id] = self.by_lane[lane_of(client_id, self._lanes)]
        return part


def deal(
    source: FromFiles, lanes: int, pipes: Sequence[tuple[Connection, Sequence[int]]]
) -> Iterator[None]:
    """Read the files once, and send each process the entries of its lanes.

    Args:
        source: The files.
        lanes: How many lanes.
        pipes: To each process, with its lanes.

    Yields:
        After each block, when something else may be looked at.

    Raises:
        ReplayError: A file is not as it must be.
        BrokenPipeError: A process reads no more.
    """
    for pipe, _ in pipes:
        _widen(pipe)
    hands = [_Hand(pipe, numbers) for pipe, numbers in pipes]
    part_of = _PartOf(hands, lanes)
    history = History(logs_of(source.paths, source.form, source.zone))
    order = size = entries = log = 0
    for piece in history.skimmed():
        if isinstance(piece, Stretch):
            if piece.log != log:
                # A block's lines are of one log.
                for hand in hands:
                    hand.send(order, history.bytes_read, log)
                log = piece.log
            for line in zip(
                count(order + 1), count(piece.first), piece.client_ids, piece.lines, strict=False
            ):
                part_of[line[2]].lines.append(line)
            order += len(piece.lines)
            size += piece.size
        else:
            order += 1
            client_id = piece.client_id
            # What tells no charge point is lane 0's.
            part = part_of.by_lane[0] if client_id is None else part_of[client_id]
            one, bytes_ = dealt(order, piece)
            part.entries.append(one)
            size += bytes_
            entries += 1
        if size >= _BLOCK_BYTES or entries >= _BLOCK_ENTRIES:
            for hand in hands:
                hand.send(order, history.bytes_read, log)
            size = entries = 0
            yield
    for hand in hands:
        hand.send(order, history.bytes_read, log)
        hand.end()


def _widen(pipe: Connection) -> None:
    """Let the pipe hold several blocks, so that nobody waits for somebody else's checkpoint."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
        with suppress(OSError):  # over the user's limit: it works with less
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
