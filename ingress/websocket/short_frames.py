"""Websocket frames in the one form that nearly all of them have (RFC 6455 §5.2).

That is a whole, final text frame: from a charge point masked, to it unmasked. The library reads
every form by generators and a stream, and writes each by way of a file in memory
(docs/decisions/0022-a-frames-way-by-plain-calls.md has what that costs).
"""

from typing import Final

from websockets.frames import Frame, Opcode
from websockets.frames import apply_mask as _unmasked  # type: ignore[attr-defined]  # the C one

_FINAL_TEXT: Final = 0x80 | Opcode.TEXT
_MASKED: Final = 0x80
_IN_TWO_BYTES: Final = 126
"""In place of the length: it is in the next two bytes."""
_HEADS: Final = [bytes((_FINAL_TEXT, length)) for length in range(_IN_TWO_BYTES)]
_SHORTEST: Final = 6
_MASK: Final = 4


def text_within(data: bytes, limit: int) -> bytes | None:
    """The text where `data` is one masked final text frame of at most `limit` bytes of text.

    None: it is anything else, or less, or more. Whether a text is UTF-8 is left to its reader.
    """
    if len(data) < _SHORTEST or data[0] != _FINAL_TEXT:
        return None
    length = data[1] - _MASKED
    start = _SHORTEST
    if length == _IN_TWO_BYTES:
        length = data[2] << 8 | data[3]
        start += 2
    elif not 0 <= length < _IN_TWO_BYTES:
        return None
    if len(data) != start + length or length > limit:
        return None
    text: bytes = _unmasked(data[start:], data[start - _MASK : start])
    return text


def text_frame(text: bytes) -> bytes:
    """The unmasked final text frame with `text` in it."""
    if len(text) < _IN_TWO_BYTES:
        return _HEADS[len(text)] + text
    return Frame(Opcode.TEXT, text).serialize(mask=False)
