import aiohttp
from prometheus_client import Counter

from runtime.ops import OpsServer

COUNTED = Counter("ops_test_counted", "Counts in this test")


async def test_health_readiness_and_metrics(unused_tcp_port: int) -> None:
    reason: list[str | None] = ["Kafka is not reachable"]
    server = OpsServer("127.0.0.1", unused_tcp_port, lambda: reason[0])
    await server.start()
    base = f"http://127.0.0.1:{unused_tcp_port}"
    COUNTED.inc(3)
    try:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{base}/healthz") as answer:
                assert answer.status == 200
            async with http.get(f"{base}/readyz") as answer:
                assert answer.status == 503
                assert await answer.text() == "not ready: Kafka is not reachable\n"
            reason[0] = None
            async with http.get(f"{base}/readyz") as answer:
                assert answer.status == 200
            async with http.get(f"{base}/metrics") as answer:
                assert "ops_test_counted_total 3.0" in await answer.text()
    finally:
        await server.stop()
