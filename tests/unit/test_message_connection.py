import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol

from ingress.websocket.budget import Budget
from ingress.websocket.message_connection import MessageConnection
from ingress.websocket.short_frames import text_frame, text_within

LIMIT = 70_000


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def messages_by_the_library(chunks: list[bytes]) -> tuple[list[bytes], int | None]:
    """The messages, and the close code if the connection was failed."""
    protocol = ServerProtocol(max_size=LIMIT, state=State.OPEN)
    protocol.parser = Protocol.parse(protocol)
    next(protocol.parser)
    whole, begun = [], b""
    for chunk in chunks:
        protocol.receive_data(chunk)
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                begun += event.data
                if event.fin:
                    whole.append(begun)
                    begun = b""
    sent = protocol.close_sent
    return whole, None if sent is None else sent.code


class Wire(asyncio.Transport):
    """A transport to a list."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:  # noqa: ANN401 - as its base
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Keeper:
    """Handles each message as it comes."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def ready(self) -> bool:
        return True

    def handle(self, message: bytes, /) -> None:
        self.messages.append(message)

    def writable(self) -> None:
        pass

    def lost(self) -> None:
        pass


async def messages_here(chunks: list[bytes]) -> tuple[list[bytes], int | None]:
    async def handler(_: object) -> None:
        pass

    protocol = ServerProtocol(max_size=LIMIT, state=State.OPEN)
    protocol.parser = Protocol.parse(protocol)
    next(protocol.parser)
    server = SimpleNamespace(handler=handler, handler_tasks=set())
    websocket = MessageConnection(protocol, cast("Any", server), budget=Budget(1 << 30))
    websocket.connection_made(Wire())
    websocket.request = Request("/CP1", Headers())  # its handshake is over
    keeper = websocket.listener = Keeper()
    for chunk in chunks:
        websocket.data_received(chunk)
    sent = protocol.close_sent
    return keeper.messages, None if sent is None else sent.code


class Text(NamedTuple):
    """A text that is short to show, however long it is."""

    start: bytes
    padding: int = 0

    @property
    def data(self) -> bytes:
        return self.start + bytes(self.padding)


TEXTS = st.binary(max_size=130).map(Text) | st.builds(
    Text, st.binary(max_size=2), st.sampled_from([123, 124, 125, 126, 65_533, 65_534, LIMIT - 2])
)
Parts = tuple[tuple[Opcode, Text, bool], ...]
MESSAGES: st.SearchStrategy[Parts] = (
    TEXTS.map(lambda text: ((Opcode.TEXT, text, True),))
    | st.sampled_from([Opcode.BINARY, Opcode.PING]).map(lambda code: ((code, Text(b"x"), True),))
    | st.binary(max_size=9).map(
        lambda begun: (
            (Opcode.TEXT, Text(begun), False),
            (Opcode.PING, Text(b"between"), True),
            (Opcode.CONT, Text(b"end"), True),
        )
    )
)
WRONG: st.SearchStrategy[Parts] = st.sampled_from([
    ((Opcode.TEXT, Text(b"", LIMIT + 1), True),),
    ((Opcode.TEXT, Text(b"begun"), False), (Opcode.TEXT, Text(b"another within it"), True)),
    ((Opcode.CONT, Text(b"of nothing"), True),),
    ((Opcode.CLOSE, Text(b"\x03\xe8"), True), (Opcode.TEXT, Text(b"after the goodbye"), True)),
])  # fmt: skip


@given(
    st.lists(MESSAGES, max_size=6),
    WRONG | st.just(()),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=12),
)
def test_messages_are_those_that_the_library_finds_however_the_bytes_arrive(
    messages: list[Parts], wrong: Parts, cuts: list[tuple[int, int]]
) -> None:
    last: Parts = ((Opcode.TEXT, Text(b"the last"), True),)
    frames = [frame for parts in (*messages, wrong, last) for frame in parts]
    chunks = [masked(opcode, text.data, fin=fin) for opcode, text, fin in frames]
    # A frame by itself is the usual one. Others are cut, also within their heads, or joined.
    for number, place in cuts:
        which = number % len(chunks)
        if place:
            chunk = chunks[which]
            chunks[which : which + 1] = [chunk[:place], chunk[place:]] if chunk[place:] else [chunk]
        else:
            chunks[which : which + 2] = [b"".join(chunks[which : which + 2])]
    assert asyncio.run(messages_here(chunks)) == messages_by_the_library(chunks)


def test_a_text_that_is_a_frame_itself_stays_the_text() -> None:
    within = masked(Opcode.TEXT, b"a frame")
    frame = bytes([0x81, 0x80 | len(within), 0, 0, 0, 0]) + within  # a mask that changes nothing
    for cut in range(1, len(frame)):
        assert asyncio.run(messages_here([frame[:cut], frame[cut:]])) == ([within], None)


@given(TEXTS | st.just(Text(b"", LIMIT + 1)), st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
def test_a_text_is_found_in_nothing_but_a_whole_text_frame(text: Text, opcode: Opcode) -> None:
    frame = masked(opcode, text.data)
    short = opcode is Opcode.TEXT and len(text.data) < 65_536
    assert text_within(frame, LIMIT) == (text.data if short else None)
    assert text_within(frame, len(text.data) - 1) is None
    assert text_within(frame[:-1], LIMIT) is None
    assert text_within(frame + b"x", LIMIT) is None
    assert text_within(masked(opcode, text.data, fin=False), LIMIT) is None
    assert text_within(Frame(opcode, text.data).serialize(mask=False), LIMIT) is None


@given(data=st.binary(), at=st.booleans())
@example(data=b"\x80\x00\x00\x00\x00", at=True)
def test_any_bytes_are_a_text_only_if_the_library_finds_it_in_them(
    data: bytes, *, at: bool
) -> None:
    frame = b"\x81" + data if at else data
    text = text_within(frame, LIMIT)
    if text is not None:
        assert messages_by_the_library([frame]) == ([text], None)


@given(TEXTS)
def test_a_text_is_framed_as_the_library_frames_it(text: Text) -> None:
    assert text_frame(text.data) == Frame(Opcode.TEXT, text.data).serialize(mask=False)
