"""`chargelog-page`: serves the live page."""

import asyncio
import signal
import sys

import structlog
from aiohttp import web

from page.mqtt_js import MQTT_JS
from page.npm_package import FetchError, fetch
from page.server import application
from page.settings import PageSettings
from runtime.logs import configure
from runtime.settings import load

_log = structlog.get_logger()


def main() -> int:
    """Serve until SIGTERM; exit 2 on wrong settings, 1 where it can't start."""
    settings = load(
        PageSettings,
        prog="chargelog-page",
        description="Serve a live page that shows in the browser what the MQTT broker publishes.",
    )
    configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(_serve(settings))
    except (FetchError, OSError) as error:
        sys.stderr.write(f"chargelog-page: {error}\n")
        return 1
    return 0


async def _serve(settings: PageSettings) -> None:
    library = await asyncio.to_thread(fetch, MQTT_JS)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    runner = web.AppRunner(application(settings, library), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.page_host, settings.page_port).start()
        _log.info(
            "the live page is served",
            host=settings.page_host,
            port=settings.page_port,
            mqtt_url=settings.page_mqtt_url,
        )
        await ended.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    raise SystemExit(main())
