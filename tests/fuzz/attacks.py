"""Attacks below the frames: on the handshake, the websocket protocol, and the server's memory.

Each is a coroutine that keeps it up until it is cancelled or through, and returns nothing; what
must hold meanwhile is watched by `fuzz_socket`. What must hold of the attack itself raises here.
"""

import asyncio
import base64
import contextlib
import os
import zlib
from collections.abc import AsyncIterator
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

HOST: Final = "127.0.0.1"
OCPP16: Final = [Subprotocol("ocpp1.6")]
_WAIT_S: Final = 60.0
_HEARTBEAT: Final = b'[2,"h","Heartbeat",{}]'
_TOO_BIG: Final = 1009
_TRY_AGAIN_LATER: Final = 1013

PATHS: Final = (
    # path, and the status that it must be answered with (None: the handshake succeeds)
    (b"/", 404), (b"/%00", 400), (b"/a%0Ab", 400), (b"/%7F", 400), (b"/%E2%80%8B", 400),
    (b"/%FF%FE", 400), (b"/%ED%A0%80", 400), (b"/" + b"x" * 49, 400), (b"/%20", 400),
    (b"/ocpp/a%2Fb", None), (b"/a+b", None), (b"/a%23b", None), (b"/%2B%23%2F", None),
    (b"/..%2F..%2Fetc%2Fpasswd", None), (b"/%25%30%30", None), (b"/caf%C3%A9", None),
)  # fmt: skip


@contextlib.asynccontextmanager
async def tcp(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def handshake(path: bytes, extra: bytes = b"") -> bytes:
    """An opening handshake as bytes."""
    key = base64.b64encode(os.urandom(16))
    return (
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + key + b"\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\n" + extra + b"\r\n"
    )


def masked(opcode: int, payload: bytes, *, rsv1: bool = False, fin: bool = True) -> bytes:
    """One websocket frame of a client (RFC 6455 §5.2), masked with zeros."""
    head = bytes(((0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode,))
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return head + length + b"\0\0\0\0" + payload


async def hostile_paths(port: int) -> None:
    """Every path gets its status; one of 1 MB is refused without being read to its end."""
    for path, status in PATHS:
        async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
            writer.write(handshake(path))
            line = await reader.readline()
            expected = b"101" if status is None else str(status).encode()
            if line.split(b" ")[1:2] != [expected]:
                raise AssertionError(f"{path!r:.60} answered with {line!r}, not {expected!r}")
    for request in (
        handshake(b"/" + b"x" * 1_000_000),
        handshake(b"/HEADERS", b"".join(b"X-%d: y\r\n" % n for n in range(5000))),
        handshake(b"/HEADER", b"X: " + b"y" * 1_000_000 + b"\r\n"),
        b"\x16\x03\x01" + os.urandom(500),
        b"GET / HTTP/1.0\r\n\r\n",
        os.urandom(2000),
    ):
        async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
            # OSError: it is closed already, and can't be half closed.
            with contextlib.suppress(OSError):
                writer.write(request)
                await writer.drain()
                writer.write_eof()
                answer = await reader.read()
                if answer.startswith(b"HTTP/1.1 101"):
                    raise AssertionError(f"{request!r:.60} was accepted")


async def slow_loris(port: int, sockets: int) -> None:
    """Handshakes that come a byte a second; the server must end each by its limit."""

    async def one() -> None:
        async with tcp(port) as (reader, writer):
            ended = asyncio.create_task(_until_closed(reader))
            for byte in handshake(b"/LORIS"):
                with contextlib.suppress(ConnectionError):
                    writer.write(bytes((byte,)))
                done, _ = await asyncio.wait({ended}, timeout=1.0)
                if done:
                    return
            ended.cancel()
            raise AssertionError("the server waited for a handshake of minutes")

    await asyncio.gather(*(one() for _ in range(sockets)))


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(4096):
            pass


async def half_open(port: int, sockets: int) -> None:
    """Peers that vanish after the handshake: no pong, no FIN. The server must close each."""

    async def one(number: int) -> None:
        async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
            writer.write(handshake(b"/GONE-%d" % number))
            await _until_closed(reader)

    await asyncio.gather(*(one(number) for number in range(sockets)))


async def never_read(port: int, sockets: int) -> None:
    """Send CALLs without ever reading an answer, until nothing more can be written."""

    async def one(number: int) -> None:
        async with tcp(port) as (_, writer):
            writer.write(handshake(b"/DEAF-%d" % number))
            refusal = masked(1, b'[2,"' + b"d" * 36 + b'","NoSuchAction",{}]')
            # The server pings, gets no pong, and closes; until then it must not pile answers up.
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(_WAIT_S):
                    while True:
                        writer.write(refusal * 200)
                        await writer.drain()
            if not writer.transport.is_closing():
                raise AssertionError("a peer that never reads is kept")

    await asyncio.gather(*(one(number) for number in range(sockets)))


async def too_big(port: int, limit: int) -> None:
    """A frame above the limit, plain, in fragments, or once inflated, closes with 1009."""
    url = f"ws://{HOST}:{port}/"
    big = b'[2,"b","DataTransfer",{"vendorId":"' + b"x" * limit + b'"}]'
    for name, compression, parts in (
        ("BIG", None, [big]),
        ("FRAGMENTS", None, [big[start : start + 1000] for start in range(0, len(big), 1000)]),
        ("DEFLATED", "deflate", [big]),
    ):
        async with connect(url + name, subprotocols=OCPP16, compression=compression) as websocket:
            await websocket.send(_HEARTBEAT, text=True)
            await websocket.recv()
            with contextlib.suppress(ConnectionClosed):
                await websocket.send(parts if len(parts) > 1 else big, text=True)
                await websocket.recv()
            if websocket.close_code != _TOO_BIG:
                raise AssertionError(f"{name}: closed with {websocket.close_code}, not 1009")
    await _deflate_bombs(port)


async def _deflate_bombs(port: int) -> None:
    """A hundred kilobytes that inflate to a hundred megabytes, on ten connections at once."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(100_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    frame = masked(1, bomb.removesuffix(b"\x00\x00\xff\xff"), rsv1=True)

    async def one(number: int) -> None:
        async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
            writer.write(
                handshake(b"/BOMB-%d" % number, b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b"permessage-deflate" not in head:
                raise AssertionError("the server did not agree on permessage-deflate")
            writer.write(frame)
            closed = await reader.read()
            if _TOO_BIG.to_bytes(2, "big") not in closed:
                raise AssertionError(f"a deflate bomb was answered with {closed!r:.80}")

    await asyncio.gather(*(one(number) for number in range(10)))


async def broken_websocket(port: int) -> None:
    """Frames that break RFC 6455 close their connection, each by itself."""
    for frame in (
        b"\x81\x05hello",  # not masked
        masked(3, b"reserved opcode"),
        masked(1, b"x", rsv1=True),  # an extension that was not agreed on
        masked(9, b"p" * 200),  # a control frame of more than 125 bytes
        masked(8, b"\x00"),  # a close code of one byte
        masked(8, b"\x03\xe7"),  # 999
        masked(8, b"\x03\xe8\xff"),  # a reason that is no UTF-8
        masked(0, b"continues nothing"),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # 2^64 bytes announced
        os.urandom(3000),
    ):
        async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
            writer.write(handshake(b"/BROKEN"))
            await reader.readuntil(b"\r\n\r\n")
            with contextlib.suppress(OSError):
                writer.write(frame)
                writer.write_eof()
                await reader.read()


async def reconnecting(port: int, times: int) -> None:
    """One identity that connects over and over, sends, and leaves without a goodbye."""
    for _ in range(times):
        with contextlib.suppress(ConnectionError, InvalidHandshake, TimeoutError):
            async with tcp(port) as (reader, writer), asyncio.timeout(_WAIT_S):
                writer.write(handshake(b"/RESTLESS"))
                await reader.readuntil(b"\r\n\r\n")
                writer.write(masked(1, _HEARTBEAT))
                await writer.drain()


async def hoarding(port: int, sockets: int, size: int) -> None:
    """Peers that send as many big frames as they can, faster than those are put on the log."""
    frame = masked(2, b"[" + b"9" * (size - 2) + b"]")

    async def one(number: int) -> None:
        async with tcp(port) as (_, writer):
            writer.write(handshake(b"/HOARD-%d" % number))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(5):
                    for _ in range(40):
                        writer.write(frame)
                        await writer.drain()

    await asyncio.gather(*(one(number) for number in range(sockets)))


def withheld(size: int) -> dict[str, bytes]:
    """What a peer may send, and then wait, so that it is kept for what never comes.

    Args:
        size: Of the largest message that the server takes.
    """
    fragments = masked(1, b"[", fin=False) + masked(0, b" " * 60, fin=False) * (size // 66)
    return {
        "a frame but for its last byte": masked(2, bytes(size))[:-1],
        "a message but for its last fragment": fragments[:size],
        "empty messages, more than are taken up": masked(1, b"") * (size // 6),
    }


async def withholding(port: int, sockets: int, sent: bytes, hold_s: float) -> int:
    """Peers that send that at once, and then nothing for as long as they are let.

    Returns:
        How many were closed with 1013.
    """

    async def one(number: int) -> bool:
        got = b""
        async with tcp(port) as (reader, writer):
            writer.write(handshake(b"/WITHHOLD-%d" % number))
            with contextlib.suppress(ConnectionError, TimeoutError):
                await reader.readuntil(b"\r\n\r\n")
                async with asyncio.timeout(hold_s):
                    writer.write(sent)
                    got = await reader.read(4096)
                    await _until_closed(reader)
        return _TRY_AGAIN_LATER.to_bytes(2, "big") in got

    return sum(await asyncio.gather(*(one(number) for number in range(sockets))))


async def half_a_request(port: int, sockets: int, hold_s: float) -> None:
    """Handshakes of a megabyte, of which the end never comes."""
    request = b"GET /HALF HTTP/1.1\r\n" + (b"X: " + b"y" * 8000 + b"\r\n") * 120

    async def one() -> None:
        async with tcp(port) as (reader, writer):
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(hold_s):
                    writer.write(request)
                    await writer.drain()
                    await _until_closed(reader)

    await asyncio.gather(*(one() for _ in range(sockets)))


async def unread_pongs(port: int, sockets: int, hold_s: float) -> None:
    """Peers that send pings as fast as they are read, and never read a pong."""
    pings = masked(9, b"p" * 125) * 500

    async def one(number: int) -> None:
        async with tcp(port) as (_, writer):
            writer.write(handshake(b"/PING-%d" % number))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(hold_s):
                    while True:
                        writer.write(pings)
                        await writer.drain()

    await asyncio.gather(*(one(number) for number in range(sockets)))
