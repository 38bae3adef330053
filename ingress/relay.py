"""In front of an existing central system: frames pass byte for byte, each on the log first.

A charge point's connection stands on a second one to the central system (`UPSTREAM_URL`). Their
handshakes are one: the charge point is let in if the central system lets it in, with the
subprotocol that it chose, and refused with its words otherwise. They end together, with the same
close code. A frame that Kafka does not confirm in time ends both, as a broken network would: what
passes is on the log.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidHeader,
    InvalidStatus,
)
from websockets.frames import CloseCode
from websockets.headers import parse_subprotocol
from websockets.http11 import Request
from websockets.typing import Subprotocol

from ingress.errors import UpstreamError
from ingress.journal import Journal
from ingress.protocol.relayed_session import RelayedSession
from ingress.protocol.versions import VERSIONS
from ingress.websocket.relayed_connection import RelayedConnection
from schemas.frames import INBOUND, OUTBOUND, Direction

log = structlog.get_logger(__name__)

_PASSED_ON: Final = ("Authorization", "User-Agent")
_BAD_GATEWAY: Final = 502
_GATEWAY_TIMEOUT: Final = 504


class Relay:
    """Opens connections to the central system behind, and passes frames on.

    Args:
        url: The central system's address; a charge point's identity is appended as a segment.
        journal: The log of record.
        clock_ns: Unix time in nanoseconds.
        open_timeout_s: Limit of the handshake with the central system.
        max_frame_bytes: A larger frame closes the connection (1009), from either side.
    """

    def __init__(
        self,
        url: str,
        journal: Journal,
        clock_ns: Callable[[], int],
        *,
        open_timeout_s: float,
        max_frame_bytes: int,
    ) -> None:
        self._url = url.rstrip("/")
        self._journal = journal
        self._clock_ns = clock_ns
        self._open_timeout_s = open_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._open: dict[ServerConnection, ClientConnection] = {}
        self._watching: set[asyncio.Task[None]] = set()

    async def admit(self, charge_point: ServerConnection, client_id: str, request: Request) -> None:
        """Let a charge point in if the central system behind does.

        Raises:
            UpstreamError: The central system refuses, or does not answer.
        """
        self._open[charge_point] = await self._connect(client_id, request)
        task = asyncio.create_task(self._close_with(charge_point))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def chosen(self, charge_point: ServerConnection) -> Subprotocol | None:
        """The subprotocol that the central system chose for an admitted charge point."""
        return self._open[charge_point].subprotocol

    async def _close_with(self, charge_point: ServerConnection) -> None:
        # Also where the charge point leaves before its handshake has ended, so that `run` never
        # comes to be.
        await charge_point.wait_closed()
        await _end_as(self._open.pop(charge_point), charge_point)

    async def _connect(self, client_id: str, request: Request) -> ClientConnection:
        try:
            offered = [
                protocol
                for header in request.headers.get_all("Sec-WebSocket-Protocol")
                for protocol in parse_subprotocol(header)
                if protocol in VERSIONS
            ]
        except InvalidHeader as error:
            # The charge point's fault; nobody was asked yet.
            raise UpstreamError(HTTPStatus.BAD_REQUEST, str(error)) from error
        passed_on = {name: request.headers.get_all(name) for name in _PASSED_ON}
        headers = {name: values[0] for name, values in passed_on.items() if values}
        agent = headers.pop("User-Agent", None)
        try:
            return await connect(
                f"{self._url}/{quote(client_id, safe='')}",
                subprotocols=offered or None,
                additional_headers=headers,
                user_agent_header=agent,
                compression=None,
                # Dead peers are found by the charge point's own pings and ours to it.
                ping_interval=None,
                open_timeout=self._open_timeout_s,
                max_size=self._max_frame_bytes,
            )
        except InvalidStatus as error:
            body = error.response.body.decode("utf-8", "replace").strip()
            raise UpstreamError(
                error.response.status_code,
                body or f"the central system refused: {error.response.reason_phrase}",
            ) from error
        except TimeoutError as error:
            raise UpstreamError(
                _GATEWAY_TIMEOUT, "the central system did not answer in time"
            ) from error
        except (OSError, InvalidHandshake) as error:
            raise UpstreamError(
                _BAD_GATEWAY, f"the central system can't be reached: {error}"
            ) from error

    async def run(
        self,
        charge_point: RelayedConnection,
        session: RelayedSession,
        *,
        turns: asyncio.Lock,
        slow_down: Callable[[], Awaitable[None]],
    ) -> None:
        """Pass frames on until one side ends; then end the other the same way.

        Args:
            charge_point: An admitted one.
            session: Tells what each frame is.
            turns: Held while a frame is between its arrival and its way on.
            slow_down: Waits while the charge point sends too fast.
        """
        upstream = self._open[charge_point]
        # One lock for both directions: their order on the log is the order on the wire.
        keep = partial(self._keep, session, turns)
        inward = asyncio.create_task(
            _pass(charge_point, upstream, partial(keep, INBOUND), charge_point.at_work, slow_down)
        )
        outward = asyncio.create_task(_pass(upstream, charge_point, partial(keep, OUTBOUND)))
        try:
            await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
            for task in (inward, outward):
                if task.done() and (error := task.exception()) is not None:
                    log.warning(
                        "relayed connection ended",
                        client_id=session.client_id,
                        connection_id=session.connection_id,
                        error=str(error),
                    )
                    await asyncio.gather(*(_close_failed(c) for c in (charge_point, upstream)))
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.wait({inward, outward})
        # The other way round is `_close_with`'s.
        await _end_as(charge_point, upstream)

    @asynccontextmanager
    async def _keep(
        self, session: RelayedSession, turns: asyncio.Lock, direction: Direction, raw: bytes
    ) -> AsyncIterator[None]:
        """Within it, the frame is on the log and the next one waits.

        Raises:
            NotDurableError: Kafka did not confirm the frame.
        """
        async with turns:
            await self._journal.append(session.observe(direction, raw, self._clock_ns()))
            yield


async def _pass(
    source: Connection,
    target: Connection,
    keep: Callable[[bytes], AbstractAsyncContextManager[None]],
    at_work: Callable[[], AbstractContextManager[None]] = nullcontext,
    slow_down: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Pass one direction's frames on, in order; returns when either side has ended.

    Raises:
        NotDurableError: A frame could not be put on the log.
    """
    try:
        while True:
            # Undecoded: what is no UTF-8 is for the receiver to refuse, once it is on the log.
            raw = await source.recv(decode=False)
            with at_work():
                if slow_down is not None:
                    await slow_down()
                async with keep(raw):
                    await target.send(raw, text=True)
    except ConnectionClosed:
        return


async def _close_failed(connection: Connection) -> None:
    await connection.close(CloseCode.INTERNAL_ERROR, "the frame can't be stored; reconnect")


async def _end_as(connection: Connection, other: Connection) -> None:
    """End `connection` as `other` ended; one that still stands ends nothing."""
    code = other.close_code
    if code is None:
        return
    if code == CloseCode.ABNORMAL_CLOSURE:
        connection.transport.abort()
    elif code == CloseCode.NO_STATUS_RCVD:
        await connection.close()
    else:
        await connection.close(code, other.close_reason or "")
