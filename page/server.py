"""The live page's files over HTTP. What the page shows, the browser reads from MQTT by itself."""

from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from page.settings import PageSettings

_HEADERS: Final = {
    # Nothing but our own files is run or loaded; the broker may be anywhere. The worker is that of
    # mqtt.js: its keepalive timer, which the browser would slow down in a background tab.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; "
    "worker-src blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Small files, and a reload after an upgrade must not mix old with new ones.
    "Cache-Control": "no-cache",
}


def application(settings: PageSettings, mqtt_js: Path) -> web.Application:
    """The page, mqtt.js, /config.json, and /healthz and /readyz for supervisors."""
    static = Path(str(resources.files("page").joinpath("static")))

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(static / "index.html")

    async def library(_: web.Request) -> web.FileResponse:
        return web.FileResponse(mqtt_js)

    async def config(_: web.Request) -> web.Response:
        return web.json_response(
            {"mqttUrl": settings.page_mqtt_url, "topics": settings.subscriptions}
        )

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(middlewares=[_with_headers])
    app.router.add_get("/", index)
    app.router.add_get("/config.json", config)
    app.router.add_get("/vendor/mqtt.min.js", library)
    app.router.add_get("/healthz", healthy)
    app.router.add_get("/readyz", healthy)
    app.router.add_static("/", static)
    return app


@web.middleware
async def _with_headers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response
