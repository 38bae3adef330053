"""Faust's own recovery of a table; says how long it took: `RECOVERED <seconds> <rows>`."""

import os
from time import monotonic
from typing import cast

from faust.tables.manager import TableManager

from bench.contenders.textbook_faust import app, connectors


@connectors.on_recover
async def recovered() -> None:
    """Say it past Faust, which puts what is printed into its log."""
    tables = cast("TableManager", app.tables)
    began = cast("float", tables.recovery._recovery_started_at)  # noqa: SLF001 - no other way
    os.write(1, f"\nRECOVERED {monotonic() - began} {len(connectors)}\n".encode())


if __name__ == "__main__":
    app.main()
