"""The websocket server: handshake, one task per charge point, drain."""

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Protocol, cast

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from ingress import identity
from ingress.admission import Admission
from ingress.commands.downstream import Downstream
from ingress.connections import Connections
from ingress.conversation import Conversation
from ingress.errors import AnswerNotDurableError
from ingress.exchange import Exchange
from ingress.metrics import CONNECTIONS, HELD, REFUSED, REPLACED, THROTTLED
from ingress.pace import Pace
from ingress.protocol import versions
from ingress.protocol.relayed_session import RelayedSession
from ingress.protocol.session import Session
from ingress.relay import Relay
from ingress.security.profile import Security
from ingress.settings import IngressSettings
from ingress.websocket.bounded_connection import BoundedConnection
from ingress.websocket.budget import Budget
from ingress.websocket.message_connection import MessageConnection
from ingress.websocket.relayed_connection import RelayedConnection

log = structlog.get_logger(__name__)

_PROTOCOL_HEADER: Final = "Sec-WebSocket-Protocol"
_CLOSE_TIMEOUT_S: Final = 5.0
_BACKLOG: Final = 4096
"""Connections that wait for being accepted: after an outage all charge points come at once. With
asyncio's default of 100 the system drops the others' handshakes, and TCP tries for two minutes.
Linux takes no more than net.core.somaxconn."""
_MAX_QUEUE: Final = 1
"""Messages of a relayed connection that are read ahead (`MessageConnection` has its own limit, one
too). Charge points send one CALL at a time; the default of 16 let 200 peers that send big frames
take 560 MB."""


class _Connection(Protocol):
    """A charge point's connection, whoever answers it."""

    @property
    def websocket(self) -> ServerConnection:
        """The websocket."""

    @property
    def turns(self) -> AbstractAsyncContextManager[None]:
        """Held while one of its frames is handled."""

    async def run(self) -> None:
        """Handle its frames until it ends."""

    def stop(self) -> None:
        """Begin no further frame."""


class _Relayed:
    """One that is answered by the central system behind."""

    def __init__(
        self, websocket: RelayedConnection, session: RelayedSession, relay: Relay, pace: Pace
    ) -> None:
        self.websocket = websocket
        self.turns = asyncio.Lock()
        self._session = session
        self._relay = relay
        self._pace = pace

    async def run(self) -> None:
        await self._relay.run(
            self.websocket, self._session, turns=self.turns, slow_down=self._slow_down
        )

    def stop(self) -> None:
        """Its end, too, is for the relay to pass on."""

    async def _slow_down(self) -> None:
        delay = self._pace.delay(asyncio.get_running_loop().time())
        if delay > 0:
            THROTTLED.inc()
            await asyncio.sleep(delay)


class IngressServer:
    """Accepts charge points and hands their frames to `exchange`.

    With a `relay` they are let in, and answered, by the central system behind it instead.
    """

    def __init__(
        self,
        settings: IngressSettings,
        exchange: Exchange,
        downstream: Downstream,
        security: Security,
        relay: Relay | None = None,
    ) -> None:
        self._settings = settings
        self._downstream = downstream
        self._exchange = exchange
        self._tls = security.tls
        self._relay = relay
        self._connections: Connections[_Connection] = Connections()
        self._admission = Admission(
            self._connections, settings.ingress_max_connections, security.access, relay
        )
        self._closing: set[asyncio.Task[None]] = set()
        self._budget: Budget[BoundedConnection] = Budget(settings.ingress_max_held_bytes)
        HELD.set_function(lambda: self._budget.held)
        self._draining = False
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on (of use where the setting is 0)."""
        if self._server is None:
            raise RuntimeError("the server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def not_ready(self) -> str | None:
        """Why no charge point should be sent here; None: they may."""
        return "shutting down" if self._draining else None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address is taken or not this machine's.
        """
        settings = self._settings
        self._server = await serve(
            self._accept,
            settings.ingress_host,
            settings.ingress_port,
            process_request=self._admission.admit,
            select_subprotocol=self._select_subprotocol,
            compression="deflate" if settings.ingress_compression else None,
            open_timeout=settings.ingress_open_timeout_s,
            ping_interval=settings.ingress_ping_interval_s,
            ping_timeout=settings.ingress_ping_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            max_size=settings.ingress_max_frame_bytes,
            max_queue=_MAX_QUEUE,
            server_header="chargelog",
            backlog=_BACKLOG,
            reuse_port=settings.ingress_reuse_port or None,
            # It is called only, whatever its annotation says.
            create_connection=cast(
                "type[ServerConnection]",
                partial(
                    MessageConnection if self._relay is None else RelayedConnection,
                    budget=self._budget,
                ),
            ),
            **self._tls_options(),
        )

    def _tls_options(self) -> dict[str, Any]:
        if self._tls is None:
            return {}
        return {
            "ssl": self._tls.context,
            "ssl_handshake_timeout": self._settings.ingress_open_timeout_s,
        }

    async def drain(self) -> None:
        """Stop accepting, finish the frames in flight, close every connection with 1001.

        Frames that have arrived but were not begun stay unanswered; their charge points send them
        again elsewhere or later.
        """
        if self._server is None:
            return
        self._draining = True
        self._server.close(close_connections=False)
        closing = [asyncio.create_task(_finish(c)) for c in self._connections.all()]
        if closing:
            _, late = await asyncio.wait(closing, timeout=self._settings.ingress_drain_timeout_s)
            if late:
                log.error("connections closed with a frame in flight", connections=len(late))
                await self._exchange.abandon()
            for task in late | (self._server.handler_tasks if late else set()):
                task.cancel()
        for connection in self._server.all_connections.copy():
            connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._server.wait_closed()

    def _select_subprotocol(
        self, websocket: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        if self._relay is not None:
            return self._relay.chosen(websocket)
        chosen = versions.choose(offered)
        return None if chosen is None else Subprotocol(chosen)

    async def _accept(self, websocket: ServerConnection) -> None:
        if not isinstance(websocket, BoundedConnection):
            raise TypeError("every connection here is made as a bounded one")
        with websocket.served():
            await self._serve(websocket)

    async def _serve(self, websocket: BoundedConnection) -> None:
        request = websocket.request
        if request is None:
            raise RuntimeError("the handshake left no request")
        client_id = identity.from_path(request.path)
        offered = request.headers.get_all(_PROTOCOL_HEADER)
        protocol = websocket.subprotocol
        if protocol is None and not offered and self._settings.ingress_default_protocol != "none":
            # The handshake's answer names no subprotocol either, as RFC 6455 §4.2.2 wants it.
            protocol = Subprotocol(self._settings.ingress_default_protocol)
        if protocol is None:
            # OCPP-J 1.6 §3.2: complete the handshake without a subprotocol, then close.
            REFUSED.labels("subprotocol").inc()
            log.warning("no common subprotocol", client_id=client_id, offered=offered)
            await websocket.close(
                CloseCode.PROTOCOL_ERROR,
                f"no common subprotocol; use {', '.join(versions.VERSIONS)}",
            )
            return
        connection_id = str(uuid.uuid4())
        # In each line that is logged for this connection, whoever logs it.
        structlog.contextvars.bind_contextvars(client_id=client_id, connection_id=connection_id)
        connection = self._connection(websocket, client_id, connection_id, protocol)
        self._replace(self._connections.claim(client_id, connection))
        CONNECTIONS.labels(protocol).inc()
        log.info("charge point connected", protocol=protocol, remote=websocket.remote_address)
        try:
            await connection.run()
        except AnswerNotDurableError as error:
            log.warning("connection closed without an answer", error=str(error))
            await websocket.close(CloseCode.INTERNAL_ERROR, "the answer can't be stored; reconnect")
        finally:
            self._connections.release(client_id, connection)
            CONNECTIONS.labels(protocol).dec()
            if websocket.given_up:
                log.warning("connection closed: more is held in memory than INGRESS_MAX_HELD_BYTES")
            log.info(
                "charge point disconnected",
                close_code=websocket.close_code,
                close_reason=websocket.close_reason,
            )

    def _connection(
        self, websocket: BoundedConnection, client_id: str, connection_id: str, protocol: str
    ) -> _Connection:
        version = versions.VERSIONS[protocol]
        pace = Pace(self._settings.ingress_max_frames_per_s, asyncio.get_running_loop().time())
        if self._relay is not None and isinstance(websocket, RelayedConnection):
            relayed = RelayedSession(
                client_id=client_id, connection_id=connection_id, version=version
            )
            return _Relayed(websocket, relayed, self._relay, pace)
        if not isinstance(websocket, MessageConnection):
            raise TypeError(f"{type(websocket)} is none of the connections made here")
        session = Session(
            client_id=client_id,
            connection_id=connection_id,
            version=version,
            mode=self._settings.ingress_validation,
            heartbeat_interval_s=self._settings.heartbeat_interval_s,
        )
        return Conversation(websocket, session, self._exchange, self._downstream, pace)

    def _replace(self, replaced: _Connection | None) -> None:
        if replaced is None:
            return
        REPLACED.inc()
        # Not awaited: a dead socket answers the closing handshake only by its time limit.
        task = asyncio.create_task(
            replaced.websocket.close(
                CloseCode.POLICY_VIOLATION, "replaced by a newer connection of this identity"
            )
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _finish(connection: _Connection) -> None:
    connection.stop()
    async with connection.turns:
        await connection.websocket.close(CloseCode.GOING_AWAY, "the central system is restarting")
