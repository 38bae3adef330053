"""The operations endpoint of a service: /healthz, /readyz, /metrics."""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

_UNAVAILABLE: Final = 503


class OpsServer:
    """Serves health and metrics on a port of its own, so that it needs no charge point's access.

    /healthz answers 200 as long as the event loop runs; /readyz 200, or 503 with the reason that
    `not_ready` gives; /metrics Prometheus' text format of the process-wide registry.
    """

    def __init__(self, host: str, port: int, not_ready: Callable[[], str | None]) -> None:
        self._host = host
        self._port = port
        self._not_ready = not_ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address is taken or not this machine's.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._not_ready()
        if reason is None:
            return web.Response(text="ready\n")
        return web.Response(status=_UNAVAILABLE, text=f"not ready: {reason}\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
