"""Handshakes: what can't become a session is refused by HTTP."""

from http import HTTPStatus
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ingress import identity
from ingress.connections import Connections
from ingress.errors import AccessError, IdentityError, UpstreamError
from ingress.metrics import REFUSED
from ingress.relay import Relay
from ingress.security.access import Access

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
        client_id: str | None = None
        try:
            client_id = identity.from_path(request.path)
            await self._check(websocket, client_id, request)
        except IdentityError as error:
            return _refuse(websocket, "identity", error.status, str(error))
        except UpstreamError as error:
            return _refuse(websocket, "upstream", error.status, str(error), client_id)
        except AccessError as error:
            response = _refuse(websocket, error.reason, error.status, str(error), client_id)
            response.headers.update(error.headers)
            return response
        return None

    async def _check(self, websocket: ServerConnection, client_id: str, request: Request) -> None:
        authorizations = request.headers.get_all("Authorization")
        if len(authorizations) > 1:
            text = "there is more than one Authorization header"
            raise AccessError(HTTPStatus.BAD_REQUEST, text, "authentication")
        # Before the password, which costs more, and after it, since others came meanwhile.
        self._check_room(client_id)
        await self._access.check(
            client_id,
            address=str((websocket.remote_address or ("",))[0]),
            authorization=next(iter(authorizations), None),
            certificate=websocket.transport.get_extra_info("peercert"),
        )
        self._check_room(client_id)
        if self._relay is not None:
            await self._relay.admit(websocket, client_id, request)

    def _check_room(self, client_id: str) -> None:
        # One that is connected already takes its own place.
        if len(self._connections) >= self._limit and client_id not in self._connections:
            text = f"all {self._limit} connections are taken"
            raise AccessError(HTTPStatus.SERVICE_UNAVAILABLE, text, "connections")


def _refuse(
    websocket: ServerConnection, reason: str, status: int, text: str, client_id: str | None = None
) -> Response:
    REFUSED.labels(reason).inc()
    log.warning(
        "connection refused",
        client_id=client_id,
        remote=websocket.remote_address,
        status=int(status),
        reason=text,
    )
    return websocket.respond(status, f"{text}\n")
