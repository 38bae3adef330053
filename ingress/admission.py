"""Handshakes: what can't become a session is refused by HTTP."""

from http import HTTPStatus
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ingress import identity
from ingress.access import Access
from ingress.connections import Connections
from ingress.errors import AccessError, IdentityError, UpstreamError
from ingress.metrics import REFUSED
from ingress.relay import Relay

log = structlog.get_logger(__name__)


class Admission:
    """Lets a connection in, or says why not (OCPP-J 1.6 §3.2; OCPP 2.0.1 Part 2 A00).

    Args:
        connections: Those that are open now, by identity.
        limit: How many there may be.
        access: Decides whether a connection may have its identity.
        relay: The way to the central system behind, if there is one: it has a say, too.
    """

    def __init__(
        self, connections: Connections[Any], limit: int, access: Access, relay: Relay | None
    ) -> None:
        self._connections = connections
        self._limit = limit
        self._access = access
        self._relay = relay

    async def admit(self, websocket: ServerConnection, request: Request) -> Response | None:
        """The refusal, or None."""
        try:
            client_id = identity.from_path(request.path)
        except IdentityError as error:
            return _refuse(websocket, "identity", error.status, str(error))
        # Before the password, which costs more, and after it, since others came meanwhile.
        if self._is_full_for(client_id):
            return self._refuse_full(websocket, client_id)
        try:
            await self._access.check(
                client_id,
                address=str((websocket.remote_address or ("",))[0]),
                authorization=request.headers.get("Authorization"),
                certificate=websocket.transport.get_extra_info("peercert"),
            )
        except AccessError as error:
            response = _refuse(websocket, error.reason, error.status, str(error), client_id)
            response.headers.update(error.headers)
            return response
        if self._is_full_for(client_id):
            return self._refuse_full(websocket, client_id)
        if self._relay is not None:
            try:
                await self._relay.admit(websocket, client_id, request)
            except UpstreamError as error:
                return _refuse(websocket, "upstream", error.status, str(error), client_id)
        return None

    def _is_full_for(self, client_id: str) -> bool:
        # One that is connected already takes its own place.
        return len(self._connections) >= self._limit and client_id not in self._connections

    def _refuse_full(self, websocket: ServerConnection, client_id: str) -> Response:
        text = f"all {self._limit} connections are taken"
        return _refuse(websocket, "connections", HTTPStatus.SERVICE_UNAVAILABLE, text, client_id)


def _refuse(
    websocket: ServerConnection, reason: str, status: int, text: str, client_id: str | None = None
) -> Response:
    REFUSED.labels(reason).inc()
    log.warning(
        "connection refused",
        client_id=client_id,
        remote=websocket.remote_address,
        status=status,
        reason=text,
    )
    return websocket.respond(status, f"{text}\n")
