"""Pages of the worker's web: health, readiness, metrics, and the state of a charge point."""

from typing import Any, Final, cast

import orjson
from faust.exceptions import SameNode
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from processor.held_rows import HeldRows
from processor.ocpp2x.evse_state import evse_key
from processor.state import CHARGE_POINT, ChargePointRow, decode_row, row_key

_UNAVAILABLE: Final = 503
_NOT_FOUND: Final = 404


def not_ready(app: Any) -> str | None:  # noqa: ANN401 - Faust ships no types
    """Why the worker's answers and events would not be up to date now; None: they are."""
    if not app.started or app.rebalancing:
        return "partitions are being assigned"
    if app.in_recovery or not app.tables.recovery.completed.is_set():
        return "the table is being restored from its changelog"
    return None


def add_pages(app: Any, table: Any, rows: HeldRows) -> None:  # noqa: ANN401 - Faust ships no types
    """Add the pages to the app's web."""

    @app.page("/healthz", name="healthz")  # type: ignore[untyped-decorator]  # Faust ships no types
    async def healthz(web: Any, _: Any) -> Any:  # noqa: ANN401
        return web.text("ok\n")

    @app.page("/readyz", name="readyz")  # type: ignore[untyped-decorator]
    async def readyz(web: Any, _: Any) -> Any:  # noqa: ANN401
        reason = not_ready(app)
        if reason is None:
            return web.text("ready\n")
        return web.text(f"not ready: {reason}\n", status=_UNAVAILABLE)

    @app.page("/metrics", name="metrics")  # type: ignore[untyped-decorator]
    async def metrics(web: Any, _: Any) -> Any:  # noqa: ANN401
        return web.bytes(
            generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";", maxsplit=1)[0]
        )

    @app.page("/charge-points/{client_id}", name="charge_point")  # type: ignore[untyped-decorator]
    async def charge_point(web: Any, request: Any, client_id: str) -> Any:  # noqa: ANN401
        # Faust 0.15.3, transport/drivers/aiokafka.py `key_partition`: fails on a topic whose
        # metadata the producer never asked for, and Faust's own producer writes to none here.
        await app.producer._ensure_producer().partitions_for(  # noqa: SLF001
            table.changelog_topic_name
        )
        try:
            # By the identity, the frames' key: its partition is where the rows are.
            return await app.router.route_req(table.name, client_id.encode(), web, request)
        except SameNode:
            return answer(web, client_id)

    def answer(web: Any, client_id: str) -> Any:  # noqa: ANN401 - Faust ships no types
        def shown(keys: dict[int, str]) -> dict[int, Any]:
            values = {number: rows.get(key.encode()) for number, key in keys.items()}
            return {n: orjson.loads(v) for n, v in values.items() if v is not None}

        value = rows.get(row_key(client_id, CHARGE_POINT).encode())
        if value is None:
            return web.json({"error": f"no frame of {client_id!r} was seen"}, status=_NOT_FOUND)
        known = cast("ChargePointRow", decode_row(value))
        return web.json(
            {
                "clientId": client_id,
                "chargePoint": orjson.loads(value),
                "connectors": shown({n: row_key(client_id, n) for n in known.connectors}),
                "evses": shown({n: evse_key(client_id, n) for n in known.evses}),
            }
        )
